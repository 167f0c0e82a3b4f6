"""The turns of an answer whose tools run here: which calls run, what is asked next, when it is over."""

from collections.abc import Mapping
from typing import Any

import pytest

from proxy.upstream.rounds import MAX_CALLS, MAX_CALLS_A_TURN, MAX_ROUNDS, RESULTS_BYTES, Rounds, TurnEnd
from services.wire.events import (
    Completion,
    Event,
    FinishReason,
    Signature,
    Thinking,
    Token,
    ToolCall,
    ToolResult,
    Usage,
)
from services.wire.request import CalledTool, ChatRequest, Message, Tool
from tests.proxy.upstream.scripted_toolbox import tool

ASKED = Message("user", "What time is it?")
THEIRS = Tool("theirs", "A client's.")
REQUEST = ChatRequest(model="llama3.2", messages=(ASKED,), tools=(THEIRS,), max_output_tokens=100)


def rounds(request: ChatRequest = REQUEST, *, wrong: str | None = None) -> Rounds:
    def check(_name: str, _arguments: Mapping[str, Any]) -> str | None:
        return wrong

    return Rounds(request, (tool("clock"), tool("oven", confirm=True)), check)


def word(reason: FinishReason = FinishReason.TOOL_CALLS, output_tokens: int | None = 10) -> Completion:
    return Completion(reason, Usage(5, output_tokens), None, None)


def called(turns: Rounds, *names: str) -> list[ToolCall]:
    return [turns.named(ToolCall(f"p{number}", name, {})) for number, name in enumerate(names)]


def answered(turns: Rounds, *names: str) -> ChatRequest | FinishReason:
    """One round: the calls, the turn's end, a result each."""
    calls = called(turns, *names)
    assert turns.ended(word(), 1).reason is None
    results = [ToolResult(call.call_id, call.name, ok=True, content="12:00", duration_ms=1) for call in calls]
    return turns.next([*calls, *results])


def names_of(request: ChatRequest | FinishReason) -> list[str]:
    assert isinstance(request, ChatRequest)
    return [one.name for one in request.tools or ()]


def refusals(end: TurnEnd) -> list[str]:
    return [one.refusal or "" for one in end.refused]


def test_the_server_s_tools_stand_behind_the_client_s_and_what_asked_for_them_is_not_sent() -> None:
    first = rounds().first()

    assert names_of(first) == ["theirs", "clock", "oven"]
    assert (first.server_tools, first.messages, first.max_output_tokens) == (None, (ASKED,), 100)


def test_calls_are_counted_over_the_answer_and_who_runs_each_is_said() -> None:
    calls = called(rounds(), "clock", "theirs", "oven", "unknown")

    assert [call.call_id for call in calls] == ["call_1", "call_2", "call_3", "call_4"]
    assert [call.runs_here for call in calls] == [True, False, True, True]
    assert [call.needs_approval for call in calls] == [False, False, True, False]


def test_a_turn_without_calls_of_ours_is_the_answer_s_end() -> None:
    turns = rounds()

    assert turns.ended(word(FinishReason.STOP), 1) == TurnEnd(reason=FinishReason.STOP)
    called(turns, "theirs")
    assert turns.ended(word(), 1) == TurnEnd(reason=FinishReason.TOOL_CALLS)


def test_the_next_turn_is_asked_with_all_that_was_said_under_the_provider_s_own_names() -> None:
    turns, seal = rounds(), Signature("gemini", {"s": "opaque"})
    first = turns.named(ToolCall("toolu_1", "clock", {"tz": "UTC"}, seal))
    second = turns.named(ToolCall("toolu_2", "clock", {}))
    end = turns.ended(word(), 4)
    said: list[Event] = [Thinking("Hm."), seal, Token("Let me "), Token("see."), first, second]
    said += [ToolResult(one.call_id, "clock", ok=True, content=one.call_id, duration_ms=1) for one in (second, first)]

    asked = turns.next(said)

    assert [one.call for one in end.run] == [first, second]
    assert isinstance(asked, ChatRequest)
    calls = CalledTool("clock", {"tz": "UTC"}, "toolu_1", extra=seal), CalledTool("clock", {}, "toolu_2")
    assert asked.messages == (
        ASKED,
        Message("assistant", "Let me see.", "Hm.", tool_calls=calls, extra=(seal,)),
        Message("tool", "call_1", tool_name="clock", tool_call_id="toolu_1"),
        Message("tool", "call_2", tool_name="clock", tool_call_id="toolu_2"),
    )
    assert asked.max_output_tokens == 90


def test_a_turn_that_also_calls_the_client_s_tool_runs_ours_and_ends_the_answer() -> None:
    turns = rounds()
    calls = called(turns, "theirs", "clock")

    end = turns.ended(word(), 1)

    assert ([one.call for one in end.run], end.reason) == ([calls[1]], None)
    assert turns.next(calls) is FinishReason.TOOL_CALLS


@pytest.mark.parametrize(
    ("reason", "tokens", "ends"),
    [
        (FinishReason.LENGTH, 10, FinishReason.LENGTH),
        (FinishReason.CONTENT_FILTER, 10, FinishReason.CONTENT_FILTER),
        (FinishReason.TOOL_CALLS, 100, FinishReason.LENGTH),
        (FinishReason.STOP, 120, FinishReason.LENGTH),
    ],
)
def test_nothing_runs_for_an_answer_that_cannot_go_on(reason: FinishReason, tokens: int, ends: FinishReason) -> None:
    turns = rounds()
    called(turns, "clock")

    end = turns.ended(word(reason, tokens), 1)

    assert (end.run, end.reason, refusals(end)) == ((), ends, ["Not run: the answer ended before."])


def test_tokens_that_the_server_does_not_count_are_as_many_as_the_pieces() -> None:
    turns = rounds()
    calls = called(turns, "clock")
    turns.ended(word(output_tokens=None), 40)

    asked = turns.next(calls)

    assert isinstance(asked, ChatRequest)
    assert asked.max_output_tokens == 60


@pytest.mark.parametrize("limit", [None, 0, -1])
def test_what_has_no_limit_gets_none(limit: int | None) -> None:
    turns = rounds(ChatRequest(model="m", messages=(ASKED,), max_output_tokens=limit))

    asked = answered(turns, "clock")

    assert isinstance(asked, ChatRequest)
    assert asked.max_output_tokens == limit


def test_after_eight_rounds_the_model_is_asked_once_more_without_our_tools() -> None:
    turns = rounds()
    for _ in range(MAX_ROUNDS - 1):
        assert names_of(answered(turns, "clock")) == ["theirs", "clock", "oven"]
    assert names_of(answered(turns, "clock")) == ["theirs"]

    called(turns, "clock")
    end = turns.ended(word(), 1)

    assert (end.run, end.reason) == ((), FinishReason.STOP)
    assert refusals(end) == ["Not run: no more tools may be called in this answer."]


def test_a_client_without_tools_of_its_own_is_asked_for_without_any_at_last() -> None:
    turns = rounds(ChatRequest(model="m", messages=(ASKED,)))
    asked = [answered(turns, "clock") for _ in range(MAX_ROUNDS)][-1]

    assert isinstance(asked, ChatRequest)
    assert asked.tools is None


def test_of_many_calls_at_once_sixteen_run() -> None:
    turns = rounds()
    called(turns, *["clock"] * (MAX_CALLS_A_TURN + 2))

    end = turns.ended(word(), 1)

    assert len(end.run) == MAX_CALLS_A_TURN
    assert refusals(end) == ["Not run: at most 16 calls may be made at once."] * 2


def test_of_many_calls_in_an_answer_thirty_two_run() -> None:
    turns = rounds()
    for _ in range(MAX_CALLS // MAX_CALLS_A_TURN):
        answered(turns, *["clock"] * MAX_CALLS_A_TURN)
    called(turns, "clock")

    assert refusals(turns.ended(word(), 1)) == ["Not run: an answer may call tools 32 times."]


def test_an_unknown_tool_and_wrong_arguments_are_told_and_nobody_is_asked() -> None:
    turns = rounds(wrong="Not run: tz is missing.")
    calls = called(turns, "unknown", "oven")

    end = turns.ended(word(), 1)

    assert not any(call.needs_approval for call in calls)
    assert (end.run, end.reason) == ([], None)
    assert refusals(end) == ["Not run: there is no tool of this name here.", "Not run: tz is missing."]


def test_the_results_of_an_answer_have_a_bound_together() -> None:
    turns = rounds()
    whole = "x" * (RESULTS_BYTES - 10)

    assert turns.fitted(whole) == whole
    assert turns.fitted("é" * 20) == "é" * 5 + "[cut: 10 of 40 bytes]"
    assert turns.fitted("more") == "[cut: 0 of 4 bytes]"
    assert turns.fitted("") == ""
