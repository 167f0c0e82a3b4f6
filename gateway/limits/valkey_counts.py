"""The counts that all gateways share, in Valkey: the one place of the gateway that speaks to it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

from gateway.limits.allowance import Allowance, Standing
from gateway.limits.counts import Limit, Verdict
from gateway.limits.day import Day
from gateway.limits.rate import Rate
from gateway.limits.scripts import ADMIT, HOLD, PRESENT, SETTLE
from gateway.limits.sharing import ANSWER_S, LEASE_S, Away, Booking, Lease, Release
from gateway.limits.usage import DAYS, Of, Used

BEHIND_S: Final = 1.0
"""For what nobody waits for."""
CONNECTIONS: Final = 16
"""Each carries one question at a time, of some 0.2 ms."""
_BOOKED_S: Final = 600
"""How long a lease that was booked is remembered: two gateways that saw an answer's end say so within its grace."""
_SPENT_S: Final = 2 * 86_400
_USAGE_S: Final = (DAYS + 1) * 86_400
_NO_LIMIT: Final = -1


class ValkeyCounts:
    """The shared counts of :class:`gateway.limits.sharing.SharedCounts`.

    Args:
        url: valkey://, valkeys:// (TLS), redis:// or rediss://, with user, password and database where wanted, and with
            the prefix of every key as a parameter of that name.
        answer_s: how long a request waits.
        lease_s: how long a lease lives that nobody renews.
    """

    def __init__(self, url: str, *, answer_s: float = ANSWER_S, lease_s: float = LEASE_S) -> None:
        self.answer_s = answer_s
        self._lease_ms = int(lease_s * 1000)
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query))
        self._prefix = options.pop("prefix", "sluice:")
        secure = parts.scheme in {"valkeys", "rediss"}
        pool = BlockingConnectionPool.from_url(
            parts._replace(scheme="valkeys" if secure else "valkey", query=urlencode(options)).geturl(),
            max_connections=CONNECTIONS,
            timeout=answer_s,
            socket_timeout=BEHIND_S,
            socket_connect_timeout=BEHIND_S,
            decode_responses=True,
            client_name="sluice",
            **({"ssl_check_hostname": True} if secure else {}),
        )
        self._client: Valkey = Valkey.from_pool(pool)  # and closes it
        self._admit, self._hold, self._settle, self._present = map(
            self._client.register_script, (ADMIT, HOLD, SETTLE, PRESENT)
        )

    async def admit(self, owner: str, allowance: Allowance, lease: str, tokens: int | None, day: Day) -> Verdict:
        """Count a request as :meth:`Counts.admit` does; ``tokens`` None is one that makes nothing."""
        per_minute = allowance.requests_per_minute
        keys = [self._key("tat", owner), *self._leases(owner), self._key("spent", day.name, owner)]
        args = [
            60e6 / per_minute if per_minute else 0,
            allowance.burst,
            _NO_LIMIT if allowance.streams is None else allowance.streams,
            _NO_LIMIT if allowance.tokens_per_day is None else allowance.tokens_per_day,
            _NO_LIMIT if tokens is None else tokens,
            lease,
            self._lease_ms,
        ]
        async with _within(self.answer_s):
            passed, ahead_us, granted = await self._admit(keys, args)
        rate = Rate.standing(per_minute, allowance.burst, int(ahead_us) / 1e6) if per_minute else None
        return Verdict(Limit(passed) if passed else None, int(granted), rate)

    async def hold(self, leases: Iterable[Lease]) -> None:
        """Let these live for fifteen seconds from now."""
        by_owner: dict[str, list[str | int | float]] = {}
        for lease in leases:
            by_owner.setdefault(lease.owner, [self._lease_ms]).extend((lease.name, lease.tokens, lease.before))
        for owner, args in by_owner.items():
            async with _within(BEHIND_S):
                await self._hold(self._leases(owner), args)

    async def release(self, release: Release) -> None:
        """Give a lease back."""
        await self._settled(release.owner, release.lease, [_NO_LIMIT], Of("", "", ""))

    async def book(self, booking: Booking) -> None:
        """Give a lease back, and book what its answer used unless that is done."""
        of, spent = booking.of, booking.spent
        numbers: list[str | int | float] = [
            spent.input_tokens,
            spent.output_tokens,
            f"{booking.seconds:.3f}",
            int(booking.unless_held),
        ]
        args = [spent.tokens, _BOOKED_S, _SPENT_S, _USAGE_S, f"{of.key} {of.model}", *numbers]
        await self._settled(booking.owner, booking.lease, args, of)

    async def present(self, name: str) -> int:
        """Say that the gateway ``name`` is there; return how many are."""
        async with _within(BEHIND_S):
            return int(await self._present([self._key("gateways")], [name, self._lease_ms]))

    async def answers_in_time(self) -> None:
        """Answer over a connection that stands: to make one may take longer than a request may wait."""
        async with _within(self.answer_s):
            await self._client.ping()

    async def standing(self, owner: str, day: Day) -> Standing:
        """Return how ``owner`` stands."""
        leases, reserved = self._leases(owner)
        async with _within(BEHIND_S), self._client.pipeline(transaction=False) as asking:
            asking.get(self._key("spent", day.name, owner))
            asking.hvals(reserved)
            asking.zcard(leases)
            spent, set_aside, streams = await asking.execute()
        return Standing(int(spent or 0), sum(map(int, set_aside)), streams)

    async def usage(self, days: Sequence[str]) -> dict[Of, Used]:
        """Return what was used on these days."""
        rows: dict[Of, Used] = {}
        async with _within(BEHIND_S), self._client.pipeline(transaction=False) as asking:
            for day in days:
                asking.hgetall(self._key("usage", day))
            answers = await asking.execute()
        for day, fields in zip(days, answers, strict=True):
            for field, value in fields.items():
                _read_field(rows, day, field, value)
        return rows

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def _settled(self, owner: str, lease: str, args: Sequence[str | int | float], of: Of) -> None:
        keys = [self._key("spent", of.day, owner), self._key("booked", lease), self._key("usage", of.day)]
        async with _within(BEHIND_S):
            await self._settle([*self._leases(owner), *keys], [lease, *args])

    def _leases(self, owner: str) -> list[str]:
        return [self._key("leases", owner), self._key("reserved", owner)]

    def _key(self, *parts: str) -> str:
        return self._prefix + ":".join(parts)


@asynccontextmanager
async def _within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except (ValkeyError, OSError, TimeoutError) as exc:
        raise Away(type(exc).__name__) from exc


def _read_field(rows: dict[Of, Used], day: str, field: str, value: Any) -> None:
    """Take in ``<key> <model> <what>``; a model's name may have blanks."""
    key, _, rest = field.partition(" ")
    model, _, what = rest.rpartition(" ")
    used = rows.setdefault(Of(day, key, model), Used())
    setattr(used, what, float(value) if what == "seconds" else int(value))
