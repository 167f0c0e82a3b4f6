"""One client's connection with a stream, from its request to its end, and how many there are."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.guard.address import is_this_machine
from gateway.guard.keyring import ANYBODY, Principal
from gateway.limits.place import Place
from gateway.limits.usage import Spent
from gateway.relay.goodput import is_good
from gateway.relay.relay import Relay
from gateway.relay.timeline import ConnectionTimeline
from gateway.relay.upstream import HopFollower, Upstream
from services.http.sink import SinkWatch
from services.telemetry.stream_record import StreamRecord
from services.wire.events import ApiError, Code, ConnectionEnd, Failed, FinishReason, Outcome, outcome_of, shutting_down
from services.wire.hop import Chat
from services.wire.trace import Trace

_NO_FAILURE: Final = frozenset({*FinishReason, *ConnectionEnd})
REVOKED: Final = Failed(Code.UNAUTHORIZED, "The key of this answer is not good any more. Ask the operator for another.")
FULL_RETRY_S: Final = 2
"""When the gateway is full: an answer ends every few seconds among five hundred."""
CROWDED_RETRY_S: Final = 5
"""When one address has as many as it may: an answer is some seconds long."""
_CROWDED: Final = Failed(
    Code.CONCURRENCY_LIMITED, "As many answers run for your address as may at once. Ask again when one has ended."
)


@dataclass(slots=True, eq=False)
class ClientConnection:
    """What is known of one connection.

    ``reason`` is the word for its end, None for one that had no stream (204). Only the connection that ``began`` the
    stream counts its tokens and speed: a replay is fast, and eight tabs read the same tokens. One that ``asks`` for a
    new answer is judged by how it got it, a refusal included. ``label`` is its model in the metrics, decided once, when
    its stream is here. ``leave`` is what its client's leaving means, ``place`` what the limits of its key let it have,
    and ``follower`` who reads for it at ``proxy``.
    """

    request_id: str
    route: str
    kind: str
    timeline: ConnectionTimeline
    trace: Trace | None = None
    principal: Principal = ANYBODY
    dialect: str = "native"
    asks: bool = False
    began: bool = False
    model: str = ""
    label: str | None = None
    stream_id: str = ""
    conversation_id: str | None = None
    chat: Chat | None = None
    proxy: Upstream | None = None
    follower: HopFollower | None = None
    relay: Relay | None = None
    watch: SinkWatch | None = None
    reason: str | None = None
    was_handed_over: bool = False
    leave: str = "continue"
    place: Place | None = None

    @classmethod
    def begin(
        cls,
        request_id: str,
        route: str,
        kind: str,
        trace: Trace | None = None,
        principal: Principal = ANYBODY,
    ) -> "ClientConnection":
        """Return the connection of a request that has just come: whatever ends it without a word of why is ours."""
        timeline = ConnectionTimeline(time.monotonic())
        return cls(request_id, route, kind, timeline, trace, principal, reason=Code.INTERNAL)

    @property
    def comes_back(self) -> bool:
        """Whether its client, whom a drain sends away before the headers, has a stream to come back to elsewhere."""
        return self.was_handed_over and not self.asks

    @property
    def failed(self) -> bool:
        """Whether the answer did not come whole for a reason that is not its reader's."""
        return self.reason is not None and self.reason not in _NO_FAILURE

    @property
    def outcome(self) -> Outcome:
        """Whose doing its end was; one that had no stream needed none."""
        return Outcome.OK if self.reason is None else outcome_of(self.reason)

    @property
    def may_go_on(self) -> bool:
        """Whether its stream may run on: its end was not read, and leaving it has not stopped it for sure."""
        if self.relay is None or self.relay.end is not None:
            return False
        if self.leave == "continue" or self.reason == Code.UPSTREAM_DISCONNECTED:
            return True
        return self.relay.can_resume and self.reason != ConnectionEnd.CLIENT_GONE

    def record(self) -> StreamRecord:
        """Return what is counted and logged of it."""
        timeline, end = self.timeline, self.relay.end if self.relay else None
        data = end.data if end is not None and end.event == "done" else {}
        usage = (data.get("usage") or {}) if self.began else {}
        output_tokens: int | None = usage.get("output_tokens")
        decode_s = self.relay.decode_s if self.relay else None
        proxy_ttft_ms = data.get("timing", {}).get("ttft_ms") if self.began else None
        tokens_per_s = timeline.tokens_per_s(output_tokens, decode_s, usage.get("reasoning_tokens"))
        spans = timeline.spans(from_start=self.began)
        return StreamRecord(
            kind=self.kind,
            model=self.model,
            reason=str(self.reason),
            failed=self.failed,
            tokens_per_s=tokens_per_s,
            stages=timeline.stages(None if proxy_ttft_ms is None else proxy_ttft_ms / 1000),
            chunks=self.relay.chunks if self.relay else 0,
            input_tokens=usage.get("input_tokens"),
            output_tokens=output_tokens,
            good=self._is_good(spans["ttft_s"], tokens_per_s, spans["max_gap_s"]),
            **spans,
        )

    def _is_good(self, ttft_s: float | None, tokens_per_s: float | None, max_gap_s: float | None) -> bool | None:
        """Judge what was promised of a new answer; None where it is not judged."""
        if not self.asks or self.outcome is Outcome.CLIENT:
            return None
        time_per_token_s = 1 / tokens_per_s if tokens_per_s else None
        return self.outcome is Outcome.OK and is_good(ttft_s, time_per_token_s, max_gap_s)


@dataclass(slots=True)
class ClientConnections:
    """Who is here: the bound on connections with a stream, and whom a drain hands over.

    Args:
        most: connections with a stream, follows included.
        most_per_address: the same for one address that is not this machine's; 0: any. Who follows is never refused.
    """

    most: int
    most_per_address: int = 0
    draining: bool = False
    here: set[ClientConnection] = field(default_factory=set)
    _of_address: Counter[str] = field(default_factory=Counter)
    _empty: asyncio.Event = field(default_factory=asyncio.Event)

    def admit(self, connection: ClientConnection, *, new_stream: bool) -> None:
        """Let a connection in; the caller says :meth:`gone` in its ``finally``.

        Args:
            new_stream: it starts one; while draining only those are refused.

        Raises:
            ApiError: draining, or there are as many as there may be, here or for one address.
        """
        if self.draining and new_stream:
            raise shutting_down(random.random())  # noqa: S311 a jitter
        if len(self.here) >= self.most:
            failed = Failed(Code.OVERLOADED, "As many answers are being read here as there may be. Ask again later.")
            raise ApiError(failed, retry_after_s=FULL_RETRY_S)
        address = connection.principal.address
        if new_stream and self._is_crowded(address):
            raise ApiError(_CROWDED, retry_after_s=CROWDED_RETRY_S)
        self.here.add(connection)
        self._of_address[address] += 1

    def gone(self, connection: ClientConnection) -> None:
        """It is over; harmless for one that was never let in."""
        if connection in self.here:
            self.here.remove(connection)
            self._leave_address(connection.principal.address)
        if self.draining and not self.here:
            self._empty.set()

    def begin_drain(self) -> None:
        """Refuse new streams from now on."""
        self.draining = True
        if not self.here:
            self._empty.set()

    def most_unsent(self) -> int:
        """Return the most bytes that one client has still to take; read by the scrape's thread, too."""
        return max((one.watch.unsent for one in tuple(self.here) if one.watch is not None), default=0)

    async def all_gone(self) -> None:
        """Return when the last one is over; only while draining."""
        await self._empty.wait()

    def revoke(self, lets_in: Callable[[Principal], bool]) -> list[ClientConnection]:
        """End the connections of those who are not let in any more; return them, whose streams are to be stopped."""
        revoked = [one for one in self.here if one.relay is not None and not lets_in(one.principal)]
        return [one for one in revoked if one.relay is not None and one.relay.fail(REVOKED)]

    def hand_over(self) -> None:
        """Close what is left after its last whole frame: its client comes back through another gateway."""
        for connection in tuple(self.here):
            connection.was_handed_over = True
            if connection.relay is not None:
                connection.relay.cut(ConnectionEnd.HANDED_OVER)

    def _is_crowded(self, address: str) -> bool:
        return 0 < self.most_per_address <= self._of_address[address] and not is_this_machine(address)

    def _leave_address(self, address: str) -> None:
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]  # or every address that ever asked would be kept


def spent_by(relay: Relay | None) -> Spent:
    """Return the tokens of an answer, as far as it was read; one without a count is counted by its pieces."""
    if relay is None:
        return Spent()
    data = {} if relay.end is None else relay.end.data
    return Spent.counted(data.get("usage"), data.get("chunks", relay.chunks))
