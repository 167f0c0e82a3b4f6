import pytest

from proxy.providers.adapter import AttemptFailed
from proxy.upstream.ending import Ending, ending_of
from proxy.upstream.pool import Standing
from proxy.upstream.retry import LINE_FULL, Attempt, Past
from services.wire.events import Code, Failed, TriedServer

GONE = Failed(Code.UPSTREAM_UNAVAILABLE, "AI unavailable. It cannot be reached.")
UNKNOWN = Failed(Code.MODEL_NOT_FOUND, "no such model")
FULL = Failed(Code.OVERLOADED, "the line is full")
ROUTE = (("a", "b"), ("c",))


def past(server: str, failed: Failed, why: str, **more: object) -> Past[str]:
    return Past(Attempt(server), AttemptFailed(failed, why, **more))  # type: ignore[arg-type] # its own keywords


def ending(*history: Past[str], **standings: Standing) -> Ending:
    return ending_of(ROUTE, history, standings, str.upper)


def test_a_route_of_one_server_ends_with_that_server_s_failure_as_it_is() -> None:
    history = [past("a", UNKNOWN, "404", wait_s=99.0)]

    assert ending_of((("a",),), history, {}, str) == Ending(UNKNOWN, 99.0)


def test_nobody_left_says_so_and_what_became_of_each() -> None:
    """Names and words, no hosts."""
    told = ending(past("a", GONE, "refused"), past("c", GONE, "429", wait_s=40.0), b=Standing("open"))

    assert told.failed.code is Code.UPSTREAM_UNAVAILABLE
    assert told.failed.message == "AI unavailable. It cannot be reached. Tried A (refused), C (429), B (open)."
    assert told.failed.tried == (TriedServer("A", "refused"), TriedServer("C", "429"), TriedServer("B", "open"))
    assert told.wait_s == 30.0


@pytest.mark.parametrize(("waits", "expected"), [((0.2, 5.0), 1.0), ((7.0, 5.0), 5.0), ((None, None), None)])
def test_the_smallest_wait_that_is_known_is_told(waits: tuple[float | None, ...], expected: float | None) -> None:
    history = [past(server, GONE, "429", wait_s=wait_s) for server, wait_s in zip("ac", waits, strict=True)]

    assert ending(*history).wait_s == expected


def test_words_of_a_server_without_a_full_stop_get_one() -> None:
    told = ending(past("a", Failed(Code.UPSTREAM_ERROR, "it crashed"), "500"))

    assert told.failed.message == "AI unavailable. it crashed. Tried A (5xx)."


def test_a_server_that_nobody_asked_may_be_the_one_that_can_be_asked_first() -> None:
    """All that is known counts: also when a breaker lets somebody try."""
    told = ending(past("a", GONE, "429", wait_s=20.0), b=Standing("open", 12.0), c=Standing("marked"))

    assert told.wait_s == 12.0


def test_a_model_that_nobody_has_is_not_found() -> None:
    assert ending(past("a", UNKNOWN, "404"), past("c", UNKNOWN, "404")) == Ending(UNKNOWN)


def test_where_every_line_was_full_it_is_the_last_line_s_word() -> None:
    told = ending(past("a", FULL, LINE_FULL, wait_s=9.0), past("c", FULL, LINE_FULL, wait_s=3.0))

    assert told == Ending(FULL, 3.0)


def test_where_nobody_may_be_asked_each_one_s_reason_is_told() -> None:
    told = ending(a=Standing("marked"), c=Standing("quota"))

    assert told.failed.message == "AI unavailable. No model server may be asked now. Tried A (marked), C (quota)."


def test_what_the_first_finds_wrong_with_a_request_is_told_as_it_is() -> None:
    wrong = Failed(Code.INVALID_REQUEST, "too long")

    assert ending(past("a", wrong, "400", next=False)) == Ending(wrong, None)


def test_a_server_that_was_asked_more_than_once_is_told_once() -> None:
    told = ending(past("a", GONE, "refused"), past("c", GONE, "refused"), past("c", GONE, "500"))

    assert [one.code for one in told.failed.tried] == ["refused", "5xx"]
