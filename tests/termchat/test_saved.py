"""services/termchat/saved.py: a conversation as a file."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from services.termchat.conversation import KEPT, Conversation, Parameters, Remembered
from services.termchat.saved import NotOurs, from_text, to_text


def conversation() -> Conversation:
    made = Conversation(Parameters(model="tiny", system="Be brief.", temperature=0.2, top_p=0.5, seed=3))
    made.ask("ёж?")
    made.take_answer("A hedgehog\n", "stopped")
    return made


def test_what_was_saved_is_loaded() -> None:
    saved = conversation()

    assert from_text(to_text(saved)) == saved


def test_a_conversation_of_no_words_is_one() -> None:
    assert from_text(to_text(Conversation())) == Conversation()


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    data = json.loads(to_text(conversation()))
    change(data)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is no JSON"),
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it is no conversation that /save wrote"),
        ('{"messages":[]}', "it is no conversation that /save wrote"),
        (changed(lambda data: data.update(version=2)), "it is of another version than 1"),
        (changed(lambda data: data.pop("messages")), "it has no messages"),
        (changed(lambda data: data.pop("parameters")), "it has no parameters"),
        (changed(lambda data: data["messages"].append("hi")), "a message of it has no role or no text"),
        (changed(lambda data: data["messages"][0].update(role="system")), "a message of it has no role or no text"),
        (changed(lambda data: data["messages"][0].update(content=7)), "a message of it has no role or no text"),
        (changed(lambda data: data["messages"][0].update(content="")), "a message of it has no role or no text"),
        (changed(lambda data: data["parameters"].update(temperature=9)), "its temperature cannot be: expected"),
        (changed(lambda data: data["parameters"].update(seed=True)), "its seed is none"),
        (changed(lambda data: data["parameters"].update(seed=[1])), "its seed is none"),
        (changed(lambda data: data["parameters"].update(model="x" * 300)), "its model cannot be: expected"),
    ],
)
def test_what_is_not_ours_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(NotOurs, match=f"^{reason}"):
        from_text(text)


def test_of_a_long_one_the_last_messages_are_loaded() -> None:
    many = [{"role": "user", "content": str(number)} for number in range(50)]

    loaded = from_text(changed(lambda data: data.update(messages=many)))

    assert loaded.messages[0] == Remembered("user", str(50 - KEPT))
    assert len(loaded.messages) == KEPT
