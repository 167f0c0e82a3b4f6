"""Answers that have their place and that nobody reads here: what becomes of them is asked of their proxies.

A list of their owner's streams says of many in one word that they run. Only of one that does not is its snapshot asked
for, once, since it has the whole text beside what the answer used.
"""

import asyncio
import contextlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

import orjson

from gateway.guard.keyring import Principal
from gateway.limits.limiter import Limiter, Unread
from gateway.limits.usage import Spent
from gateway.relay.proxies import Proxies
from gateway.relay.upstream import Upstream
from services.http.client import HttpResponse, TransportError
from services.wire.events import ApiError

LOOK_S: Final = 1.0
"""Between two looks: so soon is a place given back whose answer ended unseen, and one is stopped whose key was revoked.
A look is one list for each person who left an answer that goes on, one after the other."""
_OVER: Final = {"finished", "failed"}


class UnreadAnswers:
    """Has the limiter hold them as long as they run, and book what they used; stops those of a key that was revoked.

    Args:
        lets_in: whether who asked for one may still ask.
    """

    def __init__(self, limiter: Limiter, proxies: Proxies, lets_in: Callable[[Principal], bool]) -> None:
        self._limiter = limiter
        self._proxies = proxies
        self._lets_in = lets_in

    async def keep(self) -> None:
        """Look after them until cancelled; at each proxy for itself, so that one that is slow holds up no other."""
        await asyncio.gather(*map(self._keep_at, self._proxies))

    async def look_at(self, proxy: Upstream) -> None:
        """Look once at those that one proxy has, one question after the other.

        Raises:
            TransportError: it does not answer.
        """
        of_owner = defaultdict[str, list[Unread]](list)
        for stream in self._limiter.unread():
            if self._holder(stream) is proxy:
                of_owner[stream.principal.owner].append(stream)
        for owner, streams in of_owner.items():
            running = running_in(await proxy.read("/api/streams", owner))
            if running is None:
                continue
            for stream in streams:
                spent = running.get(stream.stream_id)
                if spent is not None and self._lets_in(stream.principal):
                    self._limiter.goes_on(stream, spent)
                    continue
                if spent is not None:
                    await proxy.stop(stream.stream_id, secrets.token_hex(8), owner)
                await self._book(proxy, stream)

    async def stopped(self, principal: Principal, stream_id: str) -> None:
        """A stream was stopped by name: book it before who stopped it asks again."""
        stream = Unread(principal, stream_id)
        proxy = self._holder(stream)
        if proxy is not None and self._limiter.is_unread(stream):
            await self._book(proxy, stream)
            self._limiter.is_over(stream, None)  # harmless where it is booked

    # --- inside

    async def _keep_at(self, proxy: Upstream) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            with contextlib.suppress(TransportError):  # the next look asks again
                await self.look_at(proxy)

    async def _book(self, proxy: Upstream, stream: Unread) -> None:
        """Have a stream booked that is over; without a word of its proxy the next look asks again."""
        try:
            answer = await proxy.snapshot(stream.stream_id, stream.principal.owner)
        except TransportError as failed:
            is_gone, spent = failed.how == "too_large", None  # and would be each time
        else:
            is_gone, spent = answer.status == HTTPStatus.GONE, spent_in(answer)
        if is_gone or spent is not None:
            self._limiter.is_over(stream, spent)

    def _holder(self, stream: Unread) -> Upstream | None:
        try:
            return self._proxies.of(stream.stream_id)
        except ApiError:  # there is no such proxy any more, or it is another one
            return None


def running_in(streams: HttpResponse) -> Mapping[str, Spent] | None:
    """Return which streams run by a proxy's list of them, and how far they are; None if it is none."""
    if streams.status != HTTPStatus.OK:
        return None
    try:
        rows = orjson.loads(streams.body)["streams"]
        return {row["id"]: Spent(0, row["chunks"]) for row in rows if row["status"] not in _OVER}
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None


def spent_in(snapshot: HttpResponse) -> Spent | None:
    """Return what an answer used by its snapshot; None if it is none."""
    if snapshot.status != HTTPStatus.OK:
        return None
    try:
        held = orjson.loads(snapshot.body)
        return Spent.counted(held.get("end", {}).get("usage"), held["chunks"])
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return None
