"""services/termchat/following.py: one answer over lines that break."""

import json

import pytest

from services.termchat.answer_events import AnswerFailed, AnswerFinished
from services.termchat.following import (
    DEAD_AFTER_HEARTBEATS,
    DEFAULT_HEARTBEAT_S,
    INTERRUPTED,
    MOST_TRIES,
    SILENT_TRIES,
    UNREACHABLE,
    Following,
)
from services.wire.events import Token
from services.wire.sse import ServerSentEvent

STREAM = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
START = {"type": "start", "stream_id": STREAM, "model": "tiny", "resume_window_s": 30, "heartbeat_s": 2}
DONE = {"type": "done", "finish_reason": "stop"}
RECONNECTING = AnswerFailed("overloaded", "Later.", retryable=True)


def event(number: int, **data: object) -> ServerSentEvent:
    return ServerSentEvent(str(data["type"]), json.dumps(data), f"{STREAM}-{number}" if number else "")


def token(number: int, text: str = "x") -> ServerSentEvent:
    return event(number, type="token", content=text)


def begun(now: float = 100.0) -> Following:
    """An answer whose `start` was heard."""
    following = Following(now)
    following.opened(STREAM, now)
    following.heard(event(1, **START), now)
    return following


def test_an_answer_that_comes_whole() -> None:
    following = begun()

    said = following.heard(token(2, "Hello"), 100.5)
    following.heard(event(3, **DONE), 101.0)

    assert said is not None
    assert said.event == Token("Hello")
    assert following.first_at == 100.5
    assert isinstance(following.end, AnswerFinished)
    assert following.mark == ""


def test_where_the_line_was_cut_changes_nothing_of_what_is_heard() -> None:
    events = [event(1, **START), *(token(number) for number in range(2, 12)), event(12, **DONE)]
    whole = [Following(0.0).heard(one, 1.0) for one in events]
    for cut in range(1, len(events)):
        following = Following(0.0)
        following.opened(STREAM, 0.0)
        heard = [following.heard(one, 1.0) for one in events[:cut]]
        assert following.disconnected(1.0, 0.5) is not None
        after = following.last
        # a server that repeats what is known, as a joined Idempotency-Key does, changes nothing either
        heard += [one for one in (following.heard(again, 2.0) for again in events) if one is not None]
        assert heard == whole
        assert after == cut
        assert isinstance(following.end, AnswerFinished)


def test_a_merged_piece_is_new_by_its_last_number() -> None:
    following = begun()
    following.heard(token(2), 100.0)

    assert following.heard(token(9, "merged"), 100.0) is not None
    assert following.heard(token(9, "merged"), 100.0) is None
    assert following.last == 9


def test_what_has_no_number_of_its_own_is_heard_though_it_bears_the_last_one_s() -> None:
    following = begun()
    following.heard(token(2), 100.0)

    assert following.heard(event(2, type="status", phase="queued", position=3), 100.0) is not None
    following.heard(event(2, type="error", error={"code": "upstream_disconnected", "message": "Broke off."}), 100.0)

    assert following.end == AnswerFailed("upstream_disconnected", "Broke off.")


def test_a_gateway_that_is_away_is_told_at_once() -> None:
    following = Following(100.0)

    assert following.not_reached(100.0, 0.5) is None
    assert isinstance(following.end, AnswerFailed)
    assert following.end.code == UNREACHABLE


def test_a_certificate_that_is_not_trusted_is_not_tried_again() -> None:
    following = begun()

    assert following.not_reached(100.0, 0.5, is_untrusted=True) is None
    assert following.mark == INTERRUPTED


def test_a_question_that_may_have_arrived_is_asked_again() -> None:
    following = Following(100.0)

    assert following.disconnected(100.0, 0.5) == 0.25
    assert following.not_reached(100.3, 0.5) == 0.5
    assert following.end is None


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.75), (0.5, 1.0), (0.999999, 1.25)])
def test_tries_double_their_wait_and_are_spread_by_a_quarter(chance: float, share: float) -> None:
    following = begun()

    waits = [following.disconnected(100.0, chance) for _ in range(MOST_TRIES)]

    assert waits == pytest.approx([share * 0.25 * 2**n for n in range(MOST_TRIES)], rel=1e-5)
    assert following.disconnected(100.0, chance) is None
    assert following.mark == INTERRUPTED


def test_anything_new_resets_the_count() -> None:
    following = begun()
    for _ in range(MOST_TRIES):
        following.disconnected(100.0, 0.5)

    following.heard(token(2), 101.0)

    assert following.tries == 0
    assert following.disconnected(101.0, 0.5) == 0.25


def test_what_is_known_already_does_not() -> None:
    following = begun()
    following.disconnected(100.0, 0.5)

    following.heard(event(1, **START), 101.0)

    assert following.tries == 1


def test_the_search_is_told_only_when_it_is_long() -> None:
    following = begun()
    for _ in range(SILENT_TRIES):
        following.disconnected(100.0, 0.5)
    assert not following.is_reconnecting

    following.disconnected(100.0, 0.5)

    assert following.is_reconnecting


def test_nobody_comes_back_when_the_answer_no_longer_waits() -> None:
    following = begun()
    following.disconnected(100.0, 0.5)

    assert following.disconnected(129.9, 0.5) is None


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_server_in_trouble_is_asked_again_for_an_answer_that_exists(status: int) -> None:
    following = begun()

    assert following.refused(status, AnswerFailed("overloaded", "Later.", retry_after_s=2.0), 100.0, 0.5) == 2.0


@pytest.mark.parametrize("status", [204, 400, 404, 410])
def test_an_answer_that_is_not_held_any_more_is_interrupted(status: int) -> None:
    following = begun()

    assert following.refused(status, AnswerFailed("stream_gone", "Not held."), 100.0, 0.5) is None
    assert following.mark == INTERRUPTED


def test_a_question_that_is_refused_is_refused() -> None:
    following = Following(100.0)

    assert following.refused(503, RECONNECTING, 100.0, 0.5) is None
    assert following.end == RECONNECTING


def test_a_line_is_dead_after_three_heartbeats_of_silence() -> None:
    before = Following(100.0)
    assert before.dead_at == 100.0 + DEAD_AFTER_HEARTBEATS * DEFAULT_HEARTBEAT_S

    assert begun(100.0).dead_at == 100.0 + DEAD_AFTER_HEARTBEATS * 2


def test_a_stop_that_came_after_the_last_word_changes_nothing() -> None:
    following = begun()
    following.heard(event(2, **DONE), 100.0)
    following.stop_asked = True
    following.stop()

    assert not following.was_stopped
    assert following.mark == ""


def test_a_stopped_answer_is_stopped_whether_its_last_word_came_or_not() -> None:
    said, silent = begun(), begun()
    for following in (said, silent):
        following.stop_asked = True
    said.heard(event(2, type="done", finish_reason="cancelled"), 100.0)
    silent.stop()

    assert said.mark == silent.mark == "stopped"


def test_an_answer_that_somebody_else_stopped_is_marked_so() -> None:
    following = begun()
    following.heard(event(2, type="done", finish_reason="cancelled"), 100.0)

    assert not following.was_stopped
    assert following.mark == "cancelled"


@pytest.mark.parametrize("stream_id", ["", "../x", "k3fa.ABC", "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ/../x"])
def test_what_is_no_id_is_not_asked_for(stream_id: str) -> None:
    following = Following(100.0)
    following.opened(stream_id, 100.0)

    assert following.stream_id is None


@pytest.mark.parametrize("data", ["", "nonsense", "[]", "7", '{"type":7}', '{"type":"token","content":7}', "[" * 9999])
def test_an_event_of_another_shape_says_nothing_and_breaks_nothing(data: str) -> None:
    following = begun()

    heard = following.heard(ServerSentEvent("token", data, f"{STREAM}-2"), 100.0)

    assert heard is not None
    assert heard.event in {None, Token("")}
    assert following.end is None


def test_an_event_with_an_id_that_is_none_is_taken_for_one_without() -> None:
    following = begun()
    strange = ServerSentEvent("token", json.dumps({"type": "token", "content": "x"}), "no id of ours")

    assert following.heard(strange, 100.0) is None
    assert following.last == 1


def test_its_text_is_what_was_heard_also_where_a_stranger_answers_next() -> None:
    following = begun()
    following.heard(token(2, "Hel"), 100.0)
    following.heard(token(3, "lo"), 100.0)
    following.met_a_stranger()

    assert following.text == "Hello"
    assert isinstance(following.end, AnswerFailed)
    assert following.end.code == UNREACHABLE
