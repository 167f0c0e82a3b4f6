from typing import get_args

import pytest

from services.wire.event_data import error_object
from services.wire.events import (
    EVENT_NAMES,
    RULES,
    ApiError,
    Code,
    Content,
    Control,
    Event,
    Failed,
    Finished,
    FinishReason,
    Logged,
    Stage,
    Status,
    Terminal,
    Timing,
    reason_of,
    shutting_down,
)

TIMING = Timing(queue_ms=0, load_ms=None, prefill_ms=None, decode_ms=None, ttft_ms=None, total_ms=1, tokens_per_s=None)


def finished(reason: FinishReason) -> Finished:
    return Finished(reason, usage=None, chunks=0, bytes=0, timing=TIMING, served_by=None)


def test_every_event_has_a_name_and_no_two_share_one() -> None:
    assert set(EVENT_NAMES) == set(get_args(Event))
    assert len(set(EVENT_NAMES.values())) == len(EVENT_NAMES)


def test_an_event_is_content_or_control_and_never_both() -> None:
    """The gateway counts content by numbers less control frames: an event of a new kind has to be one or the other."""
    content, control = set(get_args(Content)), set(get_args(Control))

    assert content | control == set(get_args(Event)) == set(EVENT_NAMES)
    assert content & control == set()


def test_a_status_is_not_logged_and_only_an_end_is_terminal() -> None:
    assert set(get_args(Event)) - set(get_args(Logged)) == {Status}
    assert {EVENT_NAMES[kind] for kind in get_args(Terminal)} == {"done", "error"}


@pytest.mark.parametrize("reason", FinishReason)
def test_the_reason_of_a_finished_stream_is_its_finish_reason(reason: FinishReason) -> None:
    assert reason_of(finished(reason)) == reason.value


@pytest.mark.parametrize("code", Code)
def test_the_reason_of_a_failed_stream_is_its_code(code: Code) -> None:
    assert reason_of(Failed(code, "words")) == code.value


@pytest.mark.parametrize("code", Code)
def test_whether_a_failure_may_be_retried_is_its_codes_rule_unless_it_says_so_itself(code: Code) -> None:
    said = [Failed(code, "words", retryable=retryable).may_retry for retryable in (None, True, False)]

    assert said == [RULES[code].retryable, True, False]


def test_an_error_object_names_the_stage_only_where_there_is_one() -> None:
    plain = error_object(Failed(Code.INTERNAL, "Something broke."), "r-1")
    staged = error_object(Failed(Code.UPSTREAM_TIMEOUT, "Too slow.", Stage.TOTAL, retryable=False), "r-2")

    assert plain == {
        "error": {"code": "internal", "message": "Something broke.", "retryable": False, "request_id": "r-1"}
    }
    assert staged == {
        "error": {
            "code": "upstream_timeout",
            "message": "Too slow.",
            "retryable": False,
            "request_id": "r-2",
            "stage": "total",
        }
    }


def test_a_refusal_prints_its_code_and_not_its_words() -> None:
    """Its words may come from a model server: they are for the caller, not for a log."""
    refused = ApiError(Failed(Code.OVERLOADED, "words"), retry_after_s=2)

    assert str(refused) == "overloaded"
    assert (refused.retry_after_s, refused.close) == (2, False)


@pytest.mark.parametrize(("chance", "retry_after_s"), [(0.0, 1), (0.4, 2), (0.999999, 3)])
def test_who_is_refused_by_a_drain_comes_back_at_a_moment_of_its_own(chance: float, retry_after_s: int) -> None:
    refused = shutting_down(chance)

    assert (refused.failed.code, refused.retry_after_s, refused.close) == (Code.SHUTTING_DOWN, retry_after_s, True)
