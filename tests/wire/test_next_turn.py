"""How a conversation goes on that a gateway may keep (services/wire/request.py)."""

import json
from typing import Final

import pytest

from services.wire import bodies
from services.wire.request import Asked, BadBody, ChatRequest, Message, ModelRequest, NextTurn

USER: Final = {"role": "user", "content": "hi"}
PICTURE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def gateway_chat(**fields: object) -> Asked[ModelRequest]:
    return bodies.gateway_chat(json.dumps(fields).encode())


def test_what_a_conversation_goes_on_with_is_the_message_and_its_parent() -> None:
    request, wishes = gateway_chat(message="hi", images=[PICTURE], system="s", parent="", conversation_id="c")

    assert request == ChatRequest(messages=(Message("system", "s"), Message("user", "hi", images=(PICTURE,))))
    assert wishes.turn == NextTurn("c", "hi", (PICTURE,), "s", "")
    assert not wishes.turn.is_anew


def test_a_parent_without_a_message_is_answered_anew() -> None:
    request, wishes = gateway_chat(parent="ms_1", conversation_id="c", system="s")

    assert request == ChatRequest(messages=(Message("system", "s"),))
    assert wishes.turn == NextTurn("c", system="s", parent="ms_1")
    assert wishes.turn.is_anew


def test_who_brings_all_messages_goes_on_with_nothing() -> None:
    assert gateway_chat(messages=[USER], conversation_id="c").wishes.turn is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"message": "hi", "parent": "p"}, "parent goes with a conversation_id, and without messages"),
        (
            {"messages": [USER], "parent": "p", "conversation_id": "c"},
            "parent goes with a conversation_id, and without messages",
        ),
        ({"parent": "", "conversation_id": "c"}, "Message is required"),
        ({"message": "", "parent": "p", "conversation_id": "c"}, "Message is required"),
        ({"messages": [USER], "images": [PICTURE]}, "Send either message or messages, not both"),
    ],
)
def test_a_turn_that_says_too_much_or_nothing_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(BadBody, match=words):
        gateway_chat(**fields)
