from collections.abc import Sequence

import pytest

from proxy.providers.adapter import AttemptFailed
from proxy.upstream.pool import Standing
from proxy.upstream.retry import LONGEST_RETRY_AFTER_S, STALE, Attempt, Past, next_attempt, repeats
from services.wire.events import Code, Failed

FAILED = Failed(Code.UPSTREAM_UNAVAILABLE, "words")
AGAIN = AttemptFailed(FAILED, "refused")
NEVER = AttemptFailed(FAILED, "404", again=False)
DIED_UNSEEN = AttemptFailed(FAILED, STALE)
UNLOADED = AttemptFailed(FAILED, "wedged", wait_s=0.0)
ROUTE = (("the server",),)


def asked_to_wait(seconds: float) -> AttemptFailed:
    return AttemptFailed(FAILED, "503", wait_s=seconds)


def after(
    *failures: AttemptFailed, took_s: float = 0.1, content: bool = False, chance: float = 0.5
) -> Attempt[str] | None:
    """Return what follows when each attempt that is chosen fails so."""
    history: list[Past[str]] = []
    for failed in failures:
        attempt = next_attempt(ROUTE, history, {}, chance=chance)
        assert attempt is not None
        history.append(Past(attempt, failed, took_s, content))
    return next_attempt(ROUTE, history, {}, chance=chance)


def attempt(number: int, wait_s: float = 0.0, *, fresh: bool = True) -> Attempt[str]:
    return Attempt(ROUTE[0][0], number, wait_s, fresh)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([], attempt(1, fresh=False)),
        ([AGAIN], attempt(2, 0.25)),
        ([AGAIN, AGAIN], attempt(3, 0.5)),
        ([AGAIN, AGAIN, AGAIN], None),
        ([NEVER], None),
        ([AGAIN, NEVER], None),
        ([asked_to_wait(0.0)], attempt(2)),
        ([asked_to_wait(2.0)], attempt(2, 2.0)),
        ([AGAIN, asked_to_wait(10.0)], attempt(3, 10.0)),
        ([asked_to_wait(10.5)], None),
        ([asked_to_wait(3600.0)], None),
        ([AGAIN, AGAIN, asked_to_wait(1.0)], None),
        ([DIED_UNSEEN], attempt(1)),
        ([DIED_UNSEEN, AGAIN], attempt(2, 0.25)),
        ([DIED_UNSEEN, AGAIN, AGAIN], attempt(3, 0.5)),
        ([DIED_UNSEEN, AGAIN, AGAIN, AGAIN], None),
        ([DIED_UNSEEN, DIED_UNSEEN], attempt(2, 0.25)),
        ([UNLOADED], attempt(2)),
        ([UNLOADED, UNLOADED, UNLOADED], None),
    ],
)
def test_the_table_of_attempts(failures: list[AttemptFailed], expected: Attempt[str] | None) -> None:
    """U9: at most three, 0.25 s doubled, Retry-After obeyed up to 10 s; a stale connection's is none of the three."""
    assert after(*failures) == expected


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("failed", [AGAIN, asked_to_wait(1.0), UNLOADED])
def test_nobody_is_asked_again_behind_content(number: int, failed: AttemptFailed) -> None:
    """A retry would show a second answer as the end of the first."""
    assert next_attempt(ROUTE, [Past(attempt(number), failed, content=True)], {}, chance=0.5) is None


@pytest.mark.parametrize(
    ("why", "took_s", "again"),
    [("500", 1.9, True), ("500", 2.1, False), ("503", 300.0, True), ("reset", 300.0, True), ("eof", 2.1, True)],
)
def test_a_500_that_took_long_is_not_repeated(why: str, took_s: float, *, again: bool) -> None:
    """It is a load that failed, and a model that cannot be loaded must not be loaded three times."""
    assert (after(AttemptFailed(FAILED, why, wait_s=0.0), took_s=took_s) is not None) is again


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.75), (0.5, 1.0), (0.999999, 1.25)])
def test_the_wait_is_jittered_by_a_quarter_either_way(number: int, chance: float, factor: float) -> None:
    following = after(*[AGAIN] * number, chance=chance)

    assert following is not None
    assert following.wait_s == pytest.approx(0.25 * 2 ** (number - 1) * factor, rel=1e-5)


def test_three_refusals_are_over_before_the_headers_leave() -> None:
    """Within the second in which a failure may still become an HTTP status."""
    following = [after(*[AGAIN] * number, chance=0.999999) for number in (1, 2)]

    assert sum(attempt.wait_s for attempt in following if attempt) < 1.0


@pytest.mark.parametrize("chance", [0.0, 0.999999])
def test_what_the_server_asks_for_is_not_jittered(chance: float) -> None:
    assert after(asked_to_wait(LONGEST_RETRY_AFTER_S), chance=chance) == attempt(2, LONGEST_RETRY_AFTER_S)


# --- several servers

CHAIN = (("a1", "a2"), ("b",), ("c",))
WRONG = AttemptFailed(FAILED, "400", again=False, next=False)
UNSUPPORTED = AttemptFailed(FAILED, "400", again=False, next=False, without="temperature")
FULL = AttemptFailed(FAILED, "line_full", again=False)
BUSY = AttemptFailed(FAILED, "429")
SPARED = Standing("open")
FAR = Standing(is_resident=True)


def walked(*failures: AttemptFailed, route: Sequence[Sequence[str]] = CHAIN, **standings: Standing) -> list[str]:
    """Return who is asked, in order, and after how many seconds, when each attempt fails so."""
    history: list[Past[str]] = []
    asked: list[str] = []
    for failed in (*failures, None):
        attempt = next_attempt(route, history, standings, chance=0.5)
        if attempt is None:
            return [*asked, "-"]
        asked.append(f"{attempt.server}{f' after {attempt.wait_s}' if attempt.wait_s else ''}")
        if failed is not None:
            history.append(Past(attempt, failed))
    return asked


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([AGAIN, AGAIN, AGAIN, AGAIN], ["a1", "a2", "b", "c", "c after 0.25"]),
        ([NEVER, NEVER, NEVER, NEVER], ["a1", "a2", "b", "c", "-"]),
        ([BUSY, BUSY, BUSY], ["a1", "a2", "b", "c"]),
        ([asked_to_wait(2.0)], ["a1", "a2"]),
        ([NEVER, NEVER, asked_to_wait(2.0)], ["a1", "a2", "b", "b after 2.0"]),
        ([NEVER, NEVER, *[asked_to_wait(2.0)] * 3], ["a1", "a2", "b", "b after 2.0", "b after 2.0", "c"]),
        ([NEVER, NEVER, asked_to_wait(10.5)], ["a1", "a2", "b", "c"]),
        ([UNLOADED], ["a1", "a2"]),
        ([WRONG], ["a1", "-"]),
        ([AGAIN, WRONG], ["a1", "a2", "b"]),
        ([FULL, WRONG], ["a1", "a2", "-"]),
        ([FULL, FULL, FULL, FULL], ["a1", "a2", "b", "c", "-"]),
        ([UNSUPPORTED, AGAIN], ["a1", "a1", "a2"]),
        ([UNSUPPORTED, UNSUPPORTED], ["a1", "a1", "-"]),
        ([DIED_UNSEEN, AGAIN], ["a1", "a1", "a2"]),
    ],
)
def test_the_table_of_who_is_asked_next(failures: list[AttemptFailed], expected: list[str]) -> None:
    """The next at once, and only the last one left again; a short Retry-After is waited for where nobody is equal."""
    assert walked(*failures) == expected


SPENT = Standing(may_repeat=False)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([AGAIN, AGAIN, AGAIN, AGAIN], ["a1", "a2", "b", "c", "-"]),
        ([NEVER, NEVER, asked_to_wait(2.0)], ["a1", "a2", "b", "c"]),
        ([NEVER, NEVER, NEVER, UNLOADED], ["a1", "a2", "b", "c", "c"]),
        ([NEVER, NEVER, NEVER, DIED_UNSEEN], ["a1", "a2", "b", "c", "c"]),
        ([NEVER, NEVER, NEVER, UNSUPPORTED], ["a1", "a2", "b", "c", "c"]),
    ],
)
def test_where_enough_was_repeated_the_next_is_asked_or_nobody(
    failures: list[AttemptFailed], expected: list[str]
) -> None:
    """O11: steps are free, and so is what the server has not seen, was told to leave out, or we closed ourselves."""
    assert walked(*failures, b=SPENT, c=SPENT) == expected


@pytest.mark.parametrize(
    ("failed", "following", "counts"),
    [
        (AGAIN, Attempt("a1", 2), True),
        (asked_to_wait(2.0), Attempt("a1", 2, 2.0), True),
        (AGAIN, Attempt("a2", 2), False),
        (DIED_UNSEEN, Attempt("a1", 1, fresh=True), False),
        (UNLOADED, Attempt("a1", 2), False),
        (UNSUPPORTED, Attempt("a1", 2, without=frozenset({"temperature"})), False),
    ],
)
def test_a_repeat_asks_one_server_for_the_same_again(
    failed: AttemptFailed, following: Attempt[str], *, counts: bool
) -> None:
    assert repeats(Past(Attempt("a1"), failed), following) is counts


def test_a_first_attempt_repeats_nothing() -> None:
    assert not repeats(None, Attempt("a1"))


def test_who_is_not_to_be_asked_is_passed_by_and_one_that_hangs_is_asked_last() -> None:
    assert walked(AGAIN, AGAIN, a1=SPARED, a2=Standing(asked_last="hung")) == ["b", "c", "a2"]
    assert walked(AGAIN, AGAIN, b=Standing(asked_last="hung"), a1=Standing(asked_last="cold")) == ["a2", "c", "a1"]


def test_where_nobody_may_be_asked_nobody_is() -> None:
    assert walked(a1=SPARED, a2=SPARED, b=SPARED, c=SPARED) == ["-"]


def test_in_a_pool_the_one_that_has_the_model_in_memory_is_asked_first() -> None:
    assert walked(AGAIN, a2=FAR) == ["a2", "a1"]


def test_nobody_else_is_asked_behind_content() -> None:
    """P2, U8."""
    assert next_attempt(CHAIN, [Past(Attempt("a1"), AGAIN, content=True)], {}, chance=0.5) is None


def test_attempts_are_counted_over_all_servers_and_a_full_line_is_none() -> None:
    history = [Past(Attempt("a1"), FULL), Past(Attempt("a2"), AGAIN)]
    following = next_attempt(CHAIN, history, {}, chance=0.5)

    assert following is not None
    assert (following.server, following.number) == ("b", 2)
