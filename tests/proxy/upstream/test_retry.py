import pytest

from proxy.providers.adapter import AttemptFailed
from proxy.upstream.retry import LONGEST_RETRY_AFTER_S, wait_before_next
from services.wire.events import Code, Failed

FAILED = Failed(Code.UPSTREAM_UNAVAILABLE, "words")
AGAIN = AttemptFailed(FAILED, "refused")
NEVER = AttemptFailed(FAILED, "404", again=False)


def asked_to_wait(seconds: float) -> AttemptFailed:
    return AttemptFailed(FAILED, "503", wait_s=seconds)


@pytest.mark.parametrize(
    ("attempt", "refusal", "content", "wait_s"),
    [
        (1, AGAIN, False, 0.25),
        (2, AGAIN, False, 0.5),
        (3, AGAIN, False, None),
        (1, AGAIN, True, None),
        (2, AGAIN, True, None),
        (1, NEVER, False, None),
        (1, asked_to_wait(0.0), False, 0.0),
        (1, asked_to_wait(2.0), False, 2.0),
        (2, asked_to_wait(10.0), False, 10.0),
        (1, asked_to_wait(10.5), False, None),
        (1, asked_to_wait(3600.0), False, None),
        (3, asked_to_wait(1.0), False, None),
        (1, asked_to_wait(1.0), True, None),
    ],
)
def test_the_table_of_attempts(attempt: int, refusal: AttemptFailed, *, content: bool, wait_s: float | None) -> None:
    """U9: at most three, 0.25 s doubled, Retry-After obeyed up to 10 s, and never after content."""
    assert wait_before_next(attempt, refusal, took_s=0.1, content=content, chance=0.5) == wait_s


@pytest.mark.parametrize(
    ("why", "took_s", "again"),
    [("500", 1.9, True), ("500", 2.1, False), ("503", 300.0, True), ("reset", 300.0, True), ("eof", 2.1, True)],
)
def test_a_500_that_took_long_is_not_repeated(why: str, took_s: float, *, again: bool) -> None:
    """It is a load that failed, and a model that cannot be loaded must not be loaded three times."""
    wait_s = wait_before_next(1, AttemptFailed(FAILED, why, wait_s=0.0), took_s=took_s, content=False, chance=0.5)

    assert (wait_s is not None) is again


@pytest.mark.parametrize("attempt", [1, 2])
@pytest.mark.parametrize(("chance", "factor"), [(0.0, 0.75), (0.5, 1.0), (0.999999, 1.25)])
def test_the_wait_is_jittered_by_a_quarter_either_way(attempt: int, chance: float, factor: float) -> None:
    wait_s = wait_before_next(attempt, AGAIN, took_s=0.1, content=False, chance=chance)

    assert wait_s == pytest.approx(0.25 * 2 ** (attempt - 1) * factor, rel=1e-5)


def test_three_refusals_are_over_before_the_headers_leave() -> None:
    """Within the second in which a failure may still become an HTTP status."""
    longest = [
        wait_before_next(attempt, AGAIN, took_s=0.1, content=False, chance=0.999999) or 0.0 for attempt in (1, 2)
    ]

    assert sum(longest) < 1.0


@pytest.mark.parametrize("chance", [0.0, 0.999999])
def test_what_the_server_asks_for_is_not_jittered(chance: float) -> None:
    wait_s = wait_before_next(1, asked_to_wait(LONGEST_RETRY_AFTER_S), took_s=0.1, content=False, chance=chance)

    assert wait_s == LONGEST_RETRY_AFTER_S
