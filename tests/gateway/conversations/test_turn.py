from dataclasses import replace

import pytest

from gateway.conversations.turn import PreparedTurn, prepared
from gateway.store.refusals import Conflict
from gateway.store.rows import Status, StoredMessage, StoredPath
from services.wire.request import BadBody, ChatRequest, Message, NextTurn

QUESTION = StoredMessage("ms_q1", None, "user", "hi", images=("p",))
ANSWER = StoredMessage("ms_a1", "ms_q1", "assistant", "Hello")
STREAMING = replace(ANSWER, status=Status.STREAMING, asked_as="h")
PATH = StoredPath("be brief", (QUESTION, ANSWER))
SAYS = NextTurn("cv_1", "and then?")


def turn_of(turn: NextTurn, path: StoredPath = PATH, *, room: int = 100, asked_as: str | None = None) -> PreparedTurn:
    request = ChatRequest(model="m")
    return prepared("anonymous", turn, path, request, user_id="ms_new", most_characters=room, asked_as=asked_as)


def test_a_message_goes_with_what_was_said_before_it() -> None:
    turn = turn_of(SAYS)

    assert turn.request == ChatRequest(
        model="m",
        messages=(
            Message("system", "be brief"),
            Message("user", "hi", images=("p",)),
            Message("assistant", "Hello"),
            Message("user", "and then?"),
        ),
    )
    assert turn.user == StoredMessage("ms_new", "ms_a1", "user", "and then?")
    assert (turn.answer_parent, turn.history.told) == ("ms_new", {"sent": 2, "left_out": 0})


def test_the_new_message_always_goes_and_counts() -> None:
    before = len("hi") + len("Hello")

    assert turn_of(SAYS, room=3).request.messages[1:] == (Message("user", "and then?"),)
    assert turn_of(SAYS, room=len("and then?") + before - 1).history.left_out == 2
    assert turn_of(SAYS, room=len("and then?") + before).history.left_out == 0


@pytest.mark.parametrize(("system", "first"), [("be loud", "be loud"), (None, "be brief"), ("", "hi")])
def test_the_requests_own_system_prompt_wins(system: str | None, first: str) -> None:
    turn = turn_of(replace(SAYS, system=system))

    assert (turn.request.messages[0].content, turn.system) == (first, system)


def test_the_first_message_of_a_conversation_has_nothing_above_it() -> None:
    turn = turn_of(replace(SAYS, images=("q",)), StoredPath(None, ()))

    assert turn.user == StoredMessage("ms_new", None, "user", "and then?", images=("q",))
    assert turn.request.messages == (Message("user", "and then?", images=("q",)),)


def test_a_message_is_answered_anew_with_what_stood_before_it() -> None:
    turn = turn_of(NextTurn("cv_1", parent="ms_q1"), StoredPath(None, (QUESTION,)))

    assert (turn.user, turn.answer_parent) == (None, "ms_q1")
    assert turn.request.messages == (Message("user", "hi", images=("p",)),)


@pytest.mark.parametrize("path", [PATH, StoredPath(None, ())])
def test_only_a_question_can_be_answered_anew(path: StoredPath) -> None:
    with pytest.raises(BadBody, match="a user's message"):
        turn_of(NextTurn("cv_1", parent="ms_a1"), path)


def test_a_message_waits_for_the_newest_answers_end() -> None:
    path = replace(PATH, messages=(QUESTION, STREAMING))

    with pytest.raises(Conflict):
        turn_of(SAYS, path)
    with pytest.raises(Conflict):
        turn_of(SAYS, path, asked_as="another")


def test_a_message_with_a_parent_of_its_own_waits_for_nothing() -> None:
    turn = turn_of(replace(SAYS, parent="ms_a1"), replace(PATH, messages=(QUESTION, STREAMING)))

    assert turn.user is not None
    assert turn.user.parent == "ms_a1"


def test_a_request_that_is_repeated_while_it_is_answered_is_prepared_as_it_was() -> None:
    turn = turn_of(SAYS, replace(PATH, messages=(QUESTION, STREAMING)), asked_as="h")

    assert turn.request.messages == (Message("system", "be brief"), Message("user", "and then?"))
    assert turn.asked_as == "h"
