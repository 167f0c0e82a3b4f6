"""A conversation as the clouds take it (`proxy/providers/history.py`)."""

import pytest

from proxy.providers.history import Turn, alternating, turns_of
from services.wire.request import CalledTool, ChatRequest, GenerateRequest, Message
from tests.wire.requests import PNG


def called(*names: str, ids: tuple[str | None, ...] = ()) -> Message:
    given = [*ids, *[None] * (len(names) - len(ids))]
    return Message("assistant", tool_calls=tuple(CalledTool(n, {}, i) for n, i in zip(names, given, strict=True)))


def result(content: str, name: str | None = None, call_id: str | None = None) -> Message:
    return Message("tool", content, tool_name=name, tool_call_id=call_id)


def turns(*messages: Message) -> list[Turn]:
    return turns_of(ChatRequest(messages=messages))


def told(*messages: Message) -> list[str]:
    """Return each turn in a line: who, what, which calls, whose result."""
    lines = []
    for turn in turns(*messages):
        calls = "".join(f" {call.called.name}={call.call_id}" for call in turn.calls)
        lines.append(f"{turn.role}: {turn.text}{calls}{f' of {turn.answers.call_id}' if turn.answers else ''}")
    return lines


def test_a_text_to_continue_is_one_question() -> None:
    asked = GenerateRequest(prompt="hi", system="Be brief.", images=(PNG,))

    assert [(turn.role, turn.text, turn.images) for turn in turns_of(asked)] == [
        ("system", "Be brief.", ()),
        ("user", "hi", (PNG,)),
    ]
    assert [turn.role for turn in turns_of(GenerateRequest(prompt="hi"))] == ["user"]


def test_roles_that_are_not_known_speak_as_the_user() -> None:
    assert told(Message("control", "x"), Message("assistant", "y")) == ["user: x", "assistant: y"]


@pytest.mark.parametrize(
    "nothing", [Message("assistant", ""), Message("user", " \n"), Message("assistant", thinking="hm")]
)
def test_who_says_nothing_is_left_out_and_neighbours_are_one_turn(nothing: Message) -> None:
    assert told(Message("user", "a"), nothing, Message("user", "b")) == ["user: a\n\nb"]


def test_pictures_of_neighbours_stay_with_them() -> None:
    (turn,) = turns(Message("user", images=(PNG,)), Message("user", "what is it", images=(PNG,)))

    assert (turn.text, len(turn.images)) == ("what is it", 2)


ONE = Message("user", "a")
PAIRS: dict[str, tuple[tuple[Message, ...], list[str]]] = {
    "by its id": (
        (called("f", "g", ids=("call_a", "call_b")), result("2", call_id="call_b"), result("1", call_id="call_a")),
        ["assistant:  f=call_a g=call_b", "tool: 2 of call_b", "tool: 1 of call_a"],
    ),
    "by its tool's name, in order": (
        (called("f", "g", "f"), result("1", "f"), result("2", "g"), result("3", "f")),
        ["assistant:  f=call_1 g=call_2 f=call_3", "tool: 1 of call_1", "tool: 2 of call_2", "tool: 3 of call_3"],
    ),
    "by nothing, in order": (
        (called("f", "g"), result("1"), result("2")),
        ["assistant:  f=call_1 g=call_2", "tool: 1 of call_1", "tool: 2 of call_2"],
    ),
    "an id that no provider takes": (
        (called("f", ids=("a call: 1",)), result("1", call_id="a call: 1")),
        ["assistant:  f=call_1", "tool: 1 of call_1"],
    ),
    "one id in two turns, as Ollama's were": (
        (
            called("f", ids=("call_1",)), result("1", call_id="call_1"), ONE,
            called("f", ids=("call_1",)), result("2", call_id="call_1"),
        ),
        ["assistant:  f=call_1", "tool: 1 of call_1", "user: a", "assistant:  f=call_2", "tool: 2 of call_2"],
    ),
    "a name of ours that somebody has": (
        (called("f", "g", ids=(None, "call_2")), result("1", "f"), result("2", "g")),
        ["assistant:  f=call_1 g=call_2", "tool: 1 of call_1", "tool: 2 of call_2"],
    ),
    "a result of no call": (
        (called("f"), result("1"), result("2", "h")),
        ["assistant:  f=call_1", "tool: 1 of call_1", "user: 2"],
    ),
    "a call that nobody answered": (
        (called("f", "g"), result("2", "g")),
        ["assistant:  g=call_2", "tool: 2 of call_2"],
    ),
    "no call that was answered": ((called("f"), Message("user", "never mind")), ["user: never mind"]),
    "a result without words": ((called("f"), result("")), ["assistant:  f=call_1", "tool:  of call_1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_calls_and_results_find_one_another(name: str) -> None:
    messages, lines = PAIRS[name]

    assert told(*messages) == lines


def test_two_sides_alternate_the_user_first_and_the_system_apart() -> None:
    """Results are the user's, and stay turns of their own."""
    spoken = turns(
        Message("system", "Be brief."),
        called("f", "g", ids=("a", "b")),
        result("1", call_id="a"),
        result("2", call_id="b"),
        Message("user", "Thanks."),
        Message("assistant", "Done."),
    )

    assert [(is_assistant, [turn.text for turn in said]) for is_assistant, said in alternating(spoken)] == [
        (False, ["Continue."]),
        (True, [""]),
        (False, ["1", "2", "Thanks."]),
        (True, ["Done."]),
    ]
