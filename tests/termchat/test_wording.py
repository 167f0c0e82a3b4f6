"""services/termchat/wording.py: the sentences beside the model's words."""

from collections.abc import Mapping

import pytest

from services.termchat import wording
from services.termchat.answer_events import AnswerFailed, AnswerFinished, StatusReported
from services.termchat.following import Following

NUMBERS = {
    "usage": {"input_tokens": 12, "output_tokens": 34},
    "timing": {"queue_ms": 3, "load_ms": 0, "prefill_ms": 120, "ttft_ms": 210, "total_ms": 1900, "tokens_per_s": 19.5},
    "served_by": {"model": "tiny"},
    "gateway": {"ttft_ms": 215},
}


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (1, "1st"),
        (2, "2nd"),
        (3, "3rd"),
        (4, "4th"),
        (11, "11th"),
        (12, "12th"),
        (13, "13th"),
        (21, "21st"),
        (112, "112th"),
    ],
)
def test_a_place_in_line_is_an_ordinal(number: int, words: str) -> None:
    assert wording.ordinal(number) == words


@pytest.mark.parametrize(
    ("status", "seconds", "words"),
    [
        (None, 0.4, "waiting …"),
        (None, 2.6, "waiting … 3 s"),
        (StatusReported("queued", 2), 0.1, "waiting, 2nd in line …"),
        (StatusReported("queued"), 0.1, "waiting …"),
        (StatusReported("connecting"), 0.1, "reaching the model server …"),
        (StatusReported("loading"), 12.2, "loading the model … 12 s"),
        (StatusReported("prefill"), 0.1, "reading the prompt …"),
        (StatusReported("retrying", attempt=2), 0.1, "the model server is asked again, 2nd time …"),
        (StatusReported("retrying", attempt=2, server="groq\x1b"), 0.1, "asking groq␛, 2nd try …"),
        (StatusReported("\x1b[2J"), 0.1, "waiting …"),
        (StatusReported("tool", name="clock\x1b"), 2.0, "running clock␛ … 2 s"),
        (StatusReported("approval", name="clock"), 0.1, "waiting for somebody's word on a tool …"),
    ],
)
def test_what_is_awaited_is_said(status: StatusReported | None, seconds: float, words: str) -> None:
    assert wording.waiting(status, seconds) == words


def finished(numbers: Mapping[str, object], first_at: float | None) -> Following:
    following = Following(100.0)
    following.first_at = first_at
    following.end = AnswerFinished("stop", numbers)
    return following


def test_the_times_of_an_answer_are_a_line() -> None:
    assert wording.timing(finished(NUMBERS, 100.21), 101.9) == (
        "first word 0.21 s · 19.5 tokens/s · 34 tokens · 1.9 s · tiny"
    )


def test_who_answered_elsewhere_is_said() -> None:
    numbers = {"served_by": {"provider": "groq", "server": "cheap", "model": "llama-3.3\x1b"}}

    assert wording.timing(finished(numbers, None), 101.9) == "1.9 s · llama-3.3␛ at cheap"


def test_what_was_not_measured_is_not_said() -> None:
    numbers = {"usage": None, "timing": {"tokens_per_s": None}, "served_by": None}

    assert wording.timing(finished(numbers, None), 101.9) == "1.9 s"


def test_the_parts_of_an_answer_s_time_are_lines() -> None:
    assert wording.stats(NUMBERS) == [
        "queue       0.003 s",
        "load        0.000 s",
        "prompt      0.120 s",
        "network     0.005 s",
        "total       1.900 s",
        "read         12 tokens",
        "wrote        34 tokens",
        "speed        19.5 tokens/s",
        "by          tiny",
    ]


def test_who_answered_and_without_what_are_lines() -> None:
    told = {"provider": "groq", "server": "groq", "model": "llama-3.3\x1b", "attempts": 2, "dropped": ["top_k", "seed"]}

    assert wording.stats({"served_by": told}) == [
        "by          groq · llama-3.3␛",
        "tries       2",
        "without     top_k, seed",
    ]


def test_the_time_of_tools_is_a_line_where_some_were_asked_for() -> None:
    assert wording.stats({"timing": {"decode_ms": 100, "tools_ms": 250, "total_ms": 400}}) == [
        "tokens      0.100 s",
        "tools       0.250 s",
        "total       0.400 s",
    ]


def test_turns_are_no_tries() -> None:
    assert wording.stats({"served_by": {"attempts": 2}, "turns": 2}) == []
    assert wording.stats({"served_by": {"attempts": 3}, "turns": 2}) == ["tries       2"]


def test_which_tools_there_are_is_said_with_whether_they_may_be_used() -> None:
    assert wording.tools(["clock", "door\x1b"], on=True) == "on: clock, door␛"
    assert wording.tools(True, on=False) == "off: those that the gateway allows"
    assert wording.tools(False, on=False) == "this gateway has no tools for you"


def test_numbers_of_another_type_are_left_out() -> None:
    assert wording.stats({"timing": {"queue_ms": "x", "total_ms": True}, "usage": 7, "served_by": ["x"]}) == []
    assert wording.stats({"served_by": {"server": 5, "dropped": "top_k", "attempts": True}}) == []


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (AnswerFinished("stop"), ""),
        (AnswerFinished("length"), "cut off: the most tokens that it may have (/set max_tokens)"),
        (AnswerFinished("cancelled"), "stopped by somebody else"),
        (AnswerFinished("never heard of"), ""),
        (AnswerFinished("stop", {"stored": False}), "the gateway's database did not take it in time"),
        (AnswerFinished("stop", {"stored": True}), ""),
        (
            AnswerFinished("stop", {"skipped_lines": 2}),
            "2 lines of the model server could not be read and were left out",
        ),
    ],
)
def test_an_answer_that_did_not_simply_stop_has_an_afterword(end: AnswerFinished, words: str) -> None:
    assert wording.afterword(end) == words


@pytest.mark.parametrize(
    ("failed", "words"),
    [
        (AnswerFailed("overloaded", "Too many.", retry_after_s=3.0), "Too many. (again in 3 s) [overloaded]"),
        (AnswerFailed("rate_limited", "Spent.", retry_after_s=121.0), "Spent. (again in 3 min) [rate_limited]"),
        (AnswerFailed("rate_limited", "Spent.", retry_after_s=33121.0), "Spent. (again in 9 h 13 min) [rate_limited]"),
        (AnswerFailed("unauthorized", "Sign in."), "Sign in. [unauthorized]"),
        (AnswerFailed("", "Away."), "Away."),
        (AnswerFailed("internal", ""), "the answer failed: internal [internal]"),
        (AnswerFailed("a\x1b", "b\r\nc"), "b c [a␛]"),
    ],
)
def test_a_failure_is_told_with_its_code(failed: AnswerFailed, words: str) -> None:
    assert wording.failure(failed) == words


@pytest.mark.parametrize(("code", "way"), [("unauthorized", "--key-file FILE"), ("model_not_allowed", "--model NAME")])
def test_what_the_gateway_refuses_a_key_is_told_with_the_option_that_helps(code: str, way: str) -> None:
    told = wording.failure(AnswerFailed(code, "Send Authorization.", request_id="r-1"))

    assert way in told
    assert "Send Authorization." not in told


def test_models_are_rows_whatever_the_list_holds() -> None:
    listed = [
        {"name": "tiny", "size": 1.3e9, "loaded": True, "default": True, "capabilities": ["completion", "tools"]},
        {"name": "a\x1b[2J", "size": "x", "capabilities": 7, "simulated": True},
    ]

    assert wording.table(wording.model_rows(listed)) == (
        "model  size    loaded  can\n"
        "tiny   1.3 GB  yes     completion tools  default\n"
        "a␛[2J          no                        a simulator's words\n"
    )
