"""What is kept of an answer, made of the proxy's snapshot of its stream. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.store.rows import Answer, Status
from services.wire.events import Code, FinishReason

_STATUS: Final[Mapping[str, Status]] = {
    **dict.fromkeys(FinishReason, Status.SENT),
    FinishReason.CANCELLED: Status.STOPPED,
    FinishReason.ABANDONED: Status.INTERRUPTED,
    **dict.fromkeys(Code, Status.FAILED),
    Code.SHUTTING_DOWN: Status.INTERRUPTED,
}


def status_of(reason: str) -> Status:
    """Return how an answer stands that ended so; a word that we do not know is a failure."""
    return _STATUS.get(reason, Status.FAILED)


def taken_from(snapshot: Mapping[str, Any], before: Answer) -> Answer:
    """Return what is known of an answer now.

    Args:
        snapshot: what the proxy holds; where the head of its text has left the log, ``before`` has it.
        before: what was known.
    """
    end: Mapping[str, Any] | None = snapshot.get("end")
    known = replace(
        before,
        content=_joined(before.content, snapshot["text"], snapshot.get("text_from", 0)),
        thinking=_joined(before.thinking, snapshot["thinking"], snapshot.get("thinking_from", 0)),
        tool_calls=tuple(call for call in snapshot["tool_calls"] if call.get("runs") != "server"),
        tools=_shown(snapshot),
        turns=tuple(snapshot.get("messages", ())),
    )
    if end is None:
        return known
    reason = end["error"]["code"] if "error" in end else end["finish_reason"]
    return replace(
        known,
        status=status_of(reason),
        code=reason,
        usage=end.get("usage"),
        timing=end.get("timing"),
        served_by=end.get("served_by"),
    )


def lost(before: Answer, reason: Code) -> Answer:
    """Return an answer whose stream cannot be had any more: what was known of it is what there is."""
    return replace(before, status=Status.INTERRUPTED, code=reason)


def _shown(snapshot: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return each call of a tool that ran here, with what came of it, and how much text was there before it."""
    results = {result["call_id"]: result for result in snapshot.get("tool_results", ())}
    places = _places(snapshot.get("messages", ()))
    shown = []
    for call in snapshot["tool_calls"]:
        at = next(places, len(snapshot["text"]))
        if call.get("runs") == "server":
            shown.append({**call, **results.get(call["call_id"], {}), "at": at})
    return tuple(shown)


def _places(messages: Iterable[Mapping[str, Any]]) -> Iterator[int]:
    """Yield the characters of text before each call of an answer, in the order of the calls."""
    at = 0
    for message in messages:
        if message["role"] == "assistant":
            at += len(message.get("content") or "")
            for _ in message.get("tool_calls") or ():
                yield at


def _joined(before: str, held: str, held_from: int) -> str:
    return before[:held_from] + held if held_from else held
