import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.guard.keyring import ANYBODY
from gateway.limits.counts import Limit, Verdict
from gateway.limits.day import Day
from gateway.limits.place import STREAMS_RETRY_S, Place, note_rate, tell_rate
from gateway.limits.rate import Rate
from services.wire.events import ApiError, Code

RATE = Rate(limit=60, remaining=3, reset_s=1.2, wait_s=0.3)


def place(limit: Limit | None = None, rate: Rate | None = None) -> Place:
    return Place(ANYBODY, Verdict(limit, 512, rate), Day("2026-11-28", 3599.5))


@pytest.mark.parametrize(
    ("limit", "code", "retry_after_s"),
    [
        (Limit.RATE, Code.RATE_LIMITED, 1),
        (Limit.STREAMS, Code.CONCURRENCY_LIMITED, STREAMS_RETRY_S),
        (Limit.TOKENS, Code.RATE_LIMITED, 3600),
    ],
)
def test_a_refusal_says_how_long_to_wait_and_never_less(limit: Limit, code: Code, retry_after_s: int) -> None:
    with pytest.raises(ApiError) as refused:
        place(limit, RATE).demand()

    assert (refused.value.failed.code, refused.value.retry_after_s) == (code, retry_after_s)


def test_who_is_let_in_may_make_what_was_set_aside() -> None:
    assert place().demand() == 512


@pytest.mark.parametrize(
    ("rate", "told"),
    [
        (None, {}),
        (RATE, {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "2"}),
    ],
)
async def test_a_response_tells_of_the_rate_where_one_is_counted(rate: Rate | None, told: dict[str, str]) -> None:
    request, response = make_mocked_request("POST", "/"), web.Response()
    note_rate(request, place(rate=rate))
    await tell_rate(request, response)

    assert {name: value for name, value in response.headers.items() if name.startswith("X-RateLimit")} == told
