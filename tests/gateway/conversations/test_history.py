from typing import Any

import pytest

from gateway.conversations.history import IMAGE_LEFT_OUT, MOST_ROWS, characters_of, messages_of, newest_that_fit
from gateway.store.rows import Status, StoredMessage
from services.wire.request import CalledTool, Message

USER, ANSWER = Message("user", "12345"), Message("assistant", "1234567")
CALL = Message("assistant", "", tool_calls=(CalledTool("clock", {"tz": "UTC"}, "call_1"),))
RESULT = Message("tool", "12:00", tool_name="clock", tool_call_id="call_1")
TALK = [USER, ANSWER, USER, CALL, RESULT, ANSWER, USER, ANSWER]
FIRST_OF_EXCHANGES = (0, 2, 6)


def row(role: str, content: str, **more: Any) -> StoredMessage:
    return StoredMessage(f"ms_{role}", None, role, content, **more)


@pytest.mark.parametrize("room", range(sum(map(characters_of, TALK)) + 2))
def test_the_newest_whole_exchanges_go_that_fit_at_every_number_of_characters(room: int) -> None:
    history = newest_that_fit(TALK, room)

    cut = history.left_out
    assert cut in {*FIRST_OF_EXCHANGES, len(TALK)}
    assert list(history.messages) == TALK[cut:]
    assert sum(map(characters_of, history.messages)) <= room
    longer = [begin for begin in FIRST_OF_EXCHANGES if begin < cut]
    assert not longer or sum(map(characters_of, TALK[longer[-1] :])) > room
    assert history.told == {"sent": len(TALK) - cut, "left_out": cut}


def test_an_older_exchange_that_would_fit_does_not_jump_over_one_that_does_not() -> None:
    long = Message("assistant", "x" * 100)

    history = newest_that_fit([USER, ANSWER, USER, long, USER, ANSWER], 50)

    assert (list(history.messages), history.left_out) == ([USER, ANSWER], 4)


def test_a_talk_that_begins_with_an_answer_goes_whole_or_from_its_first_question() -> None:
    talk = [ANSWER, USER, ANSWER]

    assert newest_that_fit(talk, 19).messages == (ANSWER, USER, ANSWER)
    assert newest_that_fit(talk, 18).messages == (USER, ANSWER)


def test_no_more_messages_go_than_a_request_may_have() -> None:
    history = newest_that_fit([USER, ANSWER] * MOST_ROWS, 1 << 30)

    assert len(history.messages) == MOST_ROWS


def test_nothing_before_is_a_history_of_nothing() -> None:
    assert newest_that_fit([], 100).told == {"sent": 0, "left_out": 0}


def test_calls_and_results_count_as_they_are_written() -> None:
    assert characters_of(CALL) == len("clock") + len('{"tz":"UTC"}')
    assert characters_of(RESULT) == len("12:00")
    assert characters_of(Message("user")) == 0


def test_the_newest_pictures_go_and_a_message_that_was_nothing_else_keeps_its_place() -> None:
    alone = Message("user", "", images=("a",) * 10)
    told = Message("user", "look", images=("b",) * 10)
    newest = Message("user", "", images=("c",) * 4)

    history = newest_that_fit([alone, told, newest], 100, images_taken=3)

    assert [message.images for message in history.messages] == [None, ("b",) * 9, ("c",) * 4]
    assert [message.content for message in history.messages] == [IMAGE_LEFT_OUT, "look", ""]


def test_no_picture_goes_where_the_new_message_has_as_many_as_there_may_be() -> None:
    (message,) = newest_that_fit([Message("user", "look", images=("a",))], 100, images_taken=16).messages

    assert (message.images, message.content) == (None, "look")


def test_empty_answers_are_no_part_of_a_history() -> None:
    rows = [row("user", "hi"), row("assistant", "", status=Status.FAILED), row("user", "hi?")]

    assert messages_of(rows) == [Message("user", "hi"), Message("user", "hi?")]


def test_what_an_answer_with_tools_added_goes_as_it_was_without_its_thinking() -> None:
    call = {"id": "call_1", "function": {"name": "clock", "arguments": {"tz": "UTC"}}}
    sealed = {**call, "extra": {"provider": "gemini", "data": {"s": 1}}}
    turns = (
        {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [sealed]},
        {"role": "tool", "content": "12:00", "tool_name": "clock", "tool_call_id": "call_1"},
        {"role": "assistant", "content": "Noon.", "extra": [{"provider": "anthropic", "data": {"s": 2}}]},
    )

    asked, result, said = messages_of([row("assistant", "Noon.", turns=turns)])

    assert (asked.thinking, said.thinking, said.content) == (None, None, "Noon.")
    assert result == RESULT
    assert asked.tool_calls is not None
    assert asked.tool_calls[0].extra is not None
    assert said.extra is not None


@pytest.mark.parametrize(
    ("content", "kept"), [("I look it up.", [Message("assistant", "I look it up.")]), ("", list[Message]())]
)
def test_a_call_that_nobody_answered_is_left_out(content: str, kept: list[Message]) -> None:
    call = {"call_id": "call_1", "name": "clock", "arguments": {}}

    assert messages_of([row("assistant", content, tool_calls=(call,))]) == kept


def test_a_result_that_nobody_asked_for_is_left_out() -> None:
    assert messages_of([row("tool", "12:00"), row("user", "hi")]) == [Message("user", "hi")]
