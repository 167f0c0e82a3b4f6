"""What a request got: its place among its principal's streams at once, or the refusal that it is."""

import math
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from gateway.guard.keyring import Principal
from gateway.limits.counts import Limit, Verdict
from gateway.limits.day import Day
from gateway.limits.rate import Rate
from services.wire.events import ApiError, Code, Failed

RATE: Final = web.RequestKey("rate", Rate)
"""How its principal stands with its requests a minute, of a request that was counted."""
STREAMS_RETRY_S: Final = 1
"""One of one's own answers has to end first: nobody knows when, and looking is cheap."""
_RATE: Final = Failed(Code.RATE_LIMITED, "This key asks more often than it may. Ask again later.")
_STREAMS: Final = Failed(
    Code.CONCURRENCY_LIMITED, "This key has as many answers running as it may have. Wait for one, or stop one."
)
_TOKENS: Final = Failed(Code.RATE_LIMITED, "This key has used its tokens of the day. They are there again tomorrow.")


@dataclass(slots=True, eq=False)
class Place:
    """A request's place.

    Attributes:
        principal: who asked.
        lease: the name under which it is held, "" for one that is not.
        since: when, in seconds of the monotonic clock.
        stream_id: of its stream, once there is one.
        repeat_key: by which its client may ask for the same answer again: its Idempotency-Key.
    """

    principal: Principal
    verdict: Verdict
    day: Day
    lease: str = ""
    since: float = field(default_factory=time.monotonic)
    stream_id: str = ""
    repeat_key: str | None = None

    @property
    def owner(self) -> str:
        """Whose it is."""
        return self.principal.owner

    def demand(self) -> int:
        """Return how many tokens it may make.

        Raises:
            ApiError: 429, the request would pass a limit.
        """
        match self.verdict.passed_limit:
            case None:
                return self.verdict.tokens
            case Limit.RATE:
                wait_s = self.verdict.rate.wait_s if self.verdict.rate else 0.0
                raise ApiError(_RATE, retry_after_s=math.ceil(wait_s))
            case Limit.STREAMS:
                raise ApiError(_STREAMS, retry_after_s=STREAMS_RETRY_S)
            case Limit.TOKENS:
                raise ApiError(_TOKENS, retry_after_s=math.ceil(self.day.left_s))


def note_rate(request: web.Request, place: Place) -> None:
    """Have the response to ``request`` say how its principal stands."""
    if place.verdict.rate is not None:
        request[RATE] = place.verdict.rate


async def tell_rate(request: web.Request, response: web.StreamResponse) -> None:
    """Say on a response how its principal stands with its requests a minute: for ``on_response_prepare``."""
    if (rate := request.get(RATE)) is not None:
        response.headers["X-RateLimit-Limit"] = str(rate.limit)
        response.headers["X-RateLimit-Remaining"] = str(rate.remaining)
        response.headers["X-RateLimit-Reset"] = str(math.ceil(rate.reset_s))
