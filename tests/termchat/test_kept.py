"""services/termchat/kept.py: a conversation as the gateway has it."""

from typing import Any, Final

from services.termchat.conversation import Parameters
from services.termchat.kept import opened

ROW: Final[dict[str, Any]] = {"id": "cv_1", "current": "a2", "system": "Be brief.", "model": "tiny"}
MESSAGES: Final[list[dict[str, Any]]] = [
    {"id": "q1", "parent": None, "role": "user", "content": "one"},
    {"id": "a1", "parent": "q1", "role": "assistant", "content": "first", "status": "sent"},
    {"id": "b1", "parent": "q1", "role": "assistant", "content": "other", "status": "sent"},
    {"id": "q2", "parent": "a1", "role": "user", "content": "two"},
    {"id": "a2", "parent": "q2", "role": "assistant", "content": "second", "status": "stopped"},
]


def test_the_branch_that_it_shows_is_gone_on_with() -> None:
    conversation = opened(ROW, MESSAGES, Parameters())

    assert [(one.content, one.mark) for one in conversation.messages] == [
        ("one", ""),
        ("first", ""),
        ("two", ""),
        ("second", "stopped"),
    ]
    conversation.take_back()
    conversation.ask("two")
    assert conversation.request()["parent"] == "q2"
    assert "message" not in conversation.request()


def test_its_model_and_system_prompt_hold_where_none_were_chosen() -> None:
    kept = opened(ROW, [], Parameters()).parameters
    own = opened(ROW, [], Parameters(model="big", system="Be long.")).parameters

    assert (kept.model, kept.system) == ("tiny", "Be brief.")
    assert (own.model, own.system) == ("big", "Be long.")


def test_one_without_messages_begins_at_nothing() -> None:
    conversation = opened({"id": "cv_1", "current": None}, [], Parameters())
    conversation.ask("hi")

    assert conversation.request()["parent"] == ""


def test_a_branch_that_is_older_than_the_newest_messages_is_gone_on_with_all_the_same() -> None:
    conversation = opened({"id": "cv_1", "current": "a7"}, MESSAGES, Parameters())
    conversation.ask("go on")

    assert conversation.request()["parent"] == "a7"
    conversation.take_answer("")
    conversation.ask(conversation.take_back())
    assert conversation.request()["parent"] == "a7"


def test_a_last_question_without_words_is_not_taken_back() -> None:
    picture = {"id": "q3", "parent": "a2", "role": "user", "content": ""}
    cat = {"id": "a3", "parent": "q3", "role": "assistant", "content": "A cat.", "status": "sent"}
    conversation = opened({**ROW, "current": "a3"}, [*MESSAGES, picture, cat], Parameters())

    assert conversation.take_back() == ""
    assert conversation.messages[-1].content == "A cat."
    conversation.ask("and its name?")
    assert conversation.request()["parent"] == "a3"


def test_messages_that_go_round_in_a_circle_end() -> None:
    circle = [{"id": "a", "parent": "b", "role": "user", "content": "x"}, {"id": "b", "parent": "a", "role": "user"}]

    assert [one.content for one in opened({"id": "cv_1", "current": "a"}, circle, Parameters()).messages] == ["x"]
