"""services/termchat/branch.py, as a conversation goes on with it: what a gateway that keeps the rest is told."""

from services.termchat.branch import Branch
from services.termchat.conversation import Conversation

ID = "cv_" + "A" * 26


def begun() -> Conversation:
    """Return a conversation of one question and its answer."""
    conversation = Conversation(branch=Branch(ID))
    conversation.ask("one")
    conversation.take_answer("first", rows=("ms_q1", "ms_a1"))
    return conversation


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
    conversation.ask("two")
    conversation.take_answer("")

    assert asked(conversation, "three") == {"message": "three", "parent": "ms_a1"}
