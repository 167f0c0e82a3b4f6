"""What an answer adds to its conversation."""

from services.wire.events import (
    Event,
    Finished,
    FinishReason,
    Signature,
    Started,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
)
from services.wire.request import CalledTool, Message
from services.wire.said_messages import messages_of

SEAL = Signature("anthropic", {"signature": "EvQB"})
END = Finished(FinishReason.STOP, None, 0, 0, Timing(0, None, None, None, None, 1, None), None)


def result(call_id: str, content: str = "12:00") -> ToolResult:
    return ToolResult(call_id, "clock", ok=True, content=content, duration_ms=1)


def test_what_says_nothing_adds_nothing() -> None:
    assert messages_of([Started("id", "m", 5), END]) == []


def test_text_and_thinking_in_pieces_are_one_message_with_its_seals() -> None:
    said: list[Event] = [Started("id", "m", 5), Thinking("a"), Thinking("b"), SEAL, Token("c"), Token("d"), END]

    assert messages_of(said) == [Message("assistant", "cd", "ab", extra=(SEAL,))]


def test_a_turn_ends_with_its_results_which_stand_in_the_order_of_the_calls() -> None:
    first, second = ToolCall("call_1", "clock", {"tz": "UTC"}, SEAL), ToolCall("call_2", "clock", {})
    said: list[Event] = [Token("a"), first, second, result("call_2", "2"), result("call_1", "1"), Token("b")]

    assert messages_of(said) == [
        Message(
            "assistant",
            "a",
            tool_calls=(CalledTool("clock", {"tz": "UTC"}, "call_1", extra=SEAL), CalledTool("clock", {}, "call_2")),
        ),
        Message("tool", "1", tool_name="clock", tool_call_id="call_1"),
        Message("tool", "2", tool_name="clock", tool_call_id="call_2"),
        Message("assistant", "b"),
    ]


def test_a_call_that_has_no_result_yet_stands_without_one() -> None:
    call = ToolCall("call_1", "clock", {})

    assert messages_of([call]) == [Message("assistant", "", tool_calls=(CalledTool("clock", {}, "call_1"),))]


def test_two_turns_that_only_call_are_two_messages() -> None:
    calls = ToolCall("call_1", "clock", {}), ToolCall("call_2", "clock", {})

    said = messages_of([calls[0], result("call_1"), calls[1], result("call_2")])

    assert [message.role for message in said] == ["assistant", "tool"] * 2
