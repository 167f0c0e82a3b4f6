"""services/termchat/branch.py, as a conversation goes on with it: what a gateway that keeps the rest is told."""

import pytest

from services.termchat.branch import Branch
from services.termchat.conversation import Conversation

ID = "cv_" + "A" * 26


def begun() -> Conversation:
    """Return a conversation of one question and its answer."""
    conversation = Conversation(branch=Branch(ID))
    conversation.ask("one")
    conversation.take_answer("first", rows=("ms_q1", "ms_a1"))
    return conversation


def refused(conversation: Conversation, text: str) -> None:
    """Ask what the gateway does not take in."""
    conversation.ask(text)
    conversation.take_answer("")


def asked(conversation: Conversation, text: str) -> dict[str, object]:
    conversation.ask(text)
    return {name: value for name, value in conversation.request().items() if name in {"message", "parent", "messages"}}


def test_the_first_question_follows_nothing_and_the_next_one_the_answer() -> None:
    assert asked(Conversation(branch=Branch(ID)), "one") == {"message": "one", "parent": ""}
    assert asked(begun(), "two") == {"message": "two", "parent": "ms_a1"}


def test_the_same_words_again_are_another_answer_to_the_same_question() -> None:
    conversation = begun()
    conversation.take_back()

    assert asked(conversation, "one") == {"parent": "ms_q1"}
    conversation.take_answer("second", rows=("ms_q1", "ms_a2"))
    assert asked(conversation, "two") == {"message": "two", "parent": "ms_a2"}


def test_other_words_stand_beside_the_question_that_was_taken_back() -> None:
    conversation = begun()
    conversation.take_back()

    assert asked(conversation, "ONE") == {"message": "ONE", "parent": ""}
    conversation.take_answer("third", rows=("ms_q2", "ms_a3"))
    conversation.take_back()
    assert asked(conversation, "ONE") == {"parent": "ms_q2"}


def test_a_question_that_the_gateway_refused_moves_nothing() -> None:
    conversation = begun()
    refused(conversation, "two")

    assert asked(conversation, "three") == {"message": "three", "parent": "ms_a1"}


@pytest.mark.parametrize("words", ["two", "one"])
def test_a_refused_question_is_asked_again_behind_the_last_answer(words: str) -> None:
    conversation = begun()
    refused(conversation, words)
    refused(conversation, conversation.take_back())

    assert asked(conversation, conversation.take_back()) == {"message": words, "parent": "ms_a1"}
    conversation.take_answer("second", rows=("ms_q2", "ms_a2"))
    assert conversation.take_back() == words
    assert asked(conversation, words) == {"parent": "ms_q2"}


def test_a_refused_question_that_is_changed_is_asked_behind_the_last_answer() -> None:
    conversation = begun()
    refused(conversation, "two")
    conversation.take_back()

    assert asked(conversation, "TWO") == {"message": "TWO", "parent": "ms_a1"}


def test_a_first_question_that_was_refused_is_asked_again_as_the_first() -> None:
    conversation = Conversation(branch=Branch(ID))
    refused(conversation, "one")

    assert asked(conversation, conversation.take_back()) == {"message": "one", "parent": ""}


def test_a_question_that_was_taken_in_and_not_answered_gets_another_answer() -> None:
    conversation = begun()
    conversation.ask("two")
    conversation.take_answer("", "interrupted", rows=("ms_q2", "ms_a2"))

    assert asked(conversation, conversation.take_back()) == {"parent": "ms_q2"}


def test_another_answer_that_was_refused_is_asked_for_again_in_its_place() -> None:
    conversation = begun()
    refused(conversation, conversation.take_back())

    assert asked(conversation, conversation.take_back()) == {"parent": "ms_q1"}


def test_a_change_that_was_refused_stands_beside_the_question_as_the_gateway_has_it() -> None:
    conversation = begun()
    conversation.take_back()
    refused(conversation, "ONE")
    conversation.take_back()
    refused(conversation, "One")
    conversation.take_back()

    assert asked(conversation, "ONE") == {"message": "ONE", "parent": ""}
    conversation.take_answer("")
    conversation.take_back()
    assert asked(conversation, "one") == {"parent": "ms_q1"}


def test_a_question_that_is_changed_twice_stands_beside_both() -> None:
    conversation = begun()
    conversation.ask("two")
    conversation.take_answer("second", rows=("ms_q2", "ms_a2"))
    conversation.take_back()
    conversation.ask("TWO")
    conversation.take_answer("third", rows=("ms_q3", "ms_a3"))
    conversation.take_back()

    assert asked(conversation, "Two") == {"message": "Two", "parent": "ms_a1"}
