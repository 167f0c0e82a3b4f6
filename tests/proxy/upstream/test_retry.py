import pytest

from proxy.providers.adapter import AttemptFailed
from proxy.upstream.retry import LONGEST_RETRY_AFTER_S, STALE, Attempt, Tried, next_attempt
from services.wire.events import Code, Failed

FAILED = Failed(Code.UPSTREAM_UNAVAILABLE, "words")
AGAIN = AttemptFailed(FAILED, "refused")
NEVER = AttemptFailed(FAILED, "404", again=False)
DIED_UNSEEN = AttemptFailed(FAILED, STALE)
UNLOADED = AttemptFailed(FAILED, "wedged", wait_s=0.0)
ROUTE = ("the server",)


def asked_to_wait(seconds: float) -> AttemptFailed:
    return AttemptFailed(FAILED, "503", wait_s=seconds)


def after(
    *failures: AttemptFailed, took_s: float = 0.1, content: bool = False, chance: float = 0.5
) -> Attempt[str] | None:
    """Return what follows when each attempt that is chosen fails so."""
    history: list[Tried[str]] = []
    for failed in failures:
        attempt = next_attempt(ROUTE, history, chance=chance)
        assert attempt is not None
        history.append(Tried(attempt, failed, took_s, content))
    return next_attempt(ROUTE, history, chance=chance)


def attempt(number: int, wait_s: float = 0.0, *, fresh: bool = True) -> Attempt[str]:
    return Attempt(ROUTE[0], number, wait_s, fresh)


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
    assert next_attempt(ROUTE, [Tried(attempt(number), failed, content=True)], chance=0.5) is None


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
