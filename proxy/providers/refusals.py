"""What the refusals of the clouds mean, by status and by what their bodies say: one table for all of them. Pure.

    a provider's file: its body -> Complaint       here: status, headers, Complaint -> AttemptFailed

Words are kept where the request is to blame, since only they say what to change. The words of 401 and 403 are never
passed on, and neither is any piece of our key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from proxy.providers.adapter import AttemptFailed, Question
from proxy.providers.retry_after import wait_s
from proxy.providers.scrubbing import scrubbed, without_key
from services.wire.events import Code, Failed, Stage


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a body says, in so far as it matters.

    Attributes:
        message: its words, as they came.
        is_ours: whether it is in the provider's own shape: else it is of what stands in between.
        is_quota: what may be used is used up: to ask again soon is in vain.
        is_key: the key is refused, whatever the status says.
        is_model: there is no such model, whatever the status says.
        is_rate: too much was asked at once, whatever the status says.
        is_chance: the model's own fault: asked again it may do better.
        without: the parameter that is refused and can be left out.
        wait_s: how long the body asks to wait, in seconds.
    """

    message: str = ""
    is_ours: bool = True
    is_quota: bool = False
    is_key: bool = False
    is_model: bool = False
    is_rate: bool = False
    is_chance: bool = False
    without: str | None = None
    wait_s: float | None = None


_KEY: Final = Failed(Code.UPSTREAM_UNAUTHORIZED, "The model server refused our key. Ask the operator to look at it.")
_RIGHTS: Final = Failed(
    Code.UPSTREAM_UNAUTHORIZED, "The model server does not let our key ask this. Ask the operator to look at it."
)
_QUOTA: Final = Failed(
    Code.UPSTREAM_UNAVAILABLE, "AI unavailable. What the model server lets us use is used up; ask again later."
)
_BUSY: Final = Failed(
    Code.UPSTREAM_UNAVAILABLE, "AI unavailable. The model server lets us ask no more for now; ask again later."
)
_NO_MODEL: Final = "The model server has no such model."
_WRONG: Final = "The model server cannot take this request."
_RATE: Final = frozenset({429, 498})
_WRONG_REQUEST: Final = frozenset({400, 413, 415, 422})
_TIMEOUT: Final = frozenset({408, 504})
_PASSING: Final = frozenset({408, 409, 500, 502, 503, 504, *range(520, 525), 529})


def refusal(status: int, headers: Mapping[str, str], complaint: Complaint | None, question: Question) -> AttemptFailed:
    """Return what an answer with another status than 200 means.

    Args:
        complaint: what its body says; None where it is not the provider's: empty, a page, of another shape.
    """
    said = complaint or Complaint(is_ours=False)
    if status == 401 or said.is_key:
        return AttemptFailed(_KEY, "401", again=False)
    if status == 402 or said.is_quota:
        return AttemptFailed(_QUOTA, "quota", again=False)
    if status in _RATE or said.is_rate:
        given = wait_s(headers, said.message) if said.wait_s is None else said.wait_s
        return AttemptFailed(_BUSY, "429", wait_s=given)
    if said.is_ours and (asked := _request_s_fault(status, said, question)) is not None:
        return asked
    if status in _PASSING or not said.is_ours:
        return _passing(status, headers, said, question)
    words = words_of(said, question) or f"The model server answered {status}."
    return AttemptFailed(Failed(Code.UPSTREAM_ERROR, words, retryable=False), "error", again=False)


def failed_in_stream(status: int, complaint: Complaint, question: Question) -> AttemptFailed:
    """Return what an error in a stream, which came under 200, means.

    Args:
        status: what it would have been as a status.
    """
    failed = refusal(status, {}, complaint, question)
    return replace(failed, why="error") if failed.why == "5xx" else failed


def words_of(said: Complaint, question: Question) -> str:
    """Return the words of a complaint, fit for a stranger."""
    return scrubbed(without_key(said.message, question.key), question.model)


def _request_s_fault(status: int, said: Complaint, question: Question) -> AttemptFailed | None:
    """Return what is wrong with what was asked of this server; None if it is not that."""
    if status == 403:
        return AttemptFailed(_RIGHTS, "403", again=False)
    words = words_of(said, question)
    if status == 404 or said.is_model:
        return AttemptFailed(Failed(Code.MODEL_NOT_FOUND, words or _NO_MODEL), "404", again=False)
    if status not in _WRONG_REQUEST:
        return None
    failed = Failed(Code.INVALID_REQUEST, words or _WRONG)
    if said.without is not None and said.without not in question.without:
        return AttemptFailed(failed, "400", again=False, without=said.without)
    return AttemptFailed(failed, "400", again=said.is_chance, next=said.is_chance)


def _passing(status: int, headers: Mapping[str, str], said: Complaint, question: Question) -> AttemptFailed:
    """Return what may be gone in a moment: a server's failure, or whatever stands in between and has no such words."""
    message = words_of(said, question) or f"The model server answered {status}."
    why = "5xx" if status >= 500 else "error"
    if status in _TIMEOUT:
        failed = Failed(Code.UPSTREAM_TIMEOUT, message, Stage.FIRST_TOKEN)
    else:
        failed = Failed(Code.UPSTREAM_ERROR, message, retryable=status in _PASSING or status >= 500)
    return AttemptFailed(failed, why, again=status >= 400, wait_s=wait_s(headers))
