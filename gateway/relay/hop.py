"""One call of the proxy, as its reader: a head, then bytes for whoever carries them."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from services.http.connection import HttpCall, ResponseEnd

KEPT_BYTES: Final = 65_536
"""Most that is kept of a refusal, or of what came before somebody carried it: beyond, the socket holds it."""

_NO_HEADERS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Head:
    """How a hop began; ``status`` 0 means that it ended without a head, as ``end`` says."""

    status: int
    body: bytes = b""
    end: ResponseEnd | None = None


class BytesCarrier(Protocol):
    """Who takes a hop's bytes to the client."""

    def __call__(self, data: bytes, framed: bytes = b"", /) -> None:
        """Take what one read brought; ``framed`` is the same as one HTTP chunk, where it came as one."""
        ...


class Hop:
    """One call of the proxy: its head, then bytes for whoever carries them (it is the connection's ``Reader``).

    Attributes:
        headers: what the proxy answered, until it is carried: nobody asks for them later, and an answer takes minutes.
    """

    def __init__(self) -> None:
        self.head: asyncio.Future[Head] = asyncio.get_running_loop().create_future()
        self.call: HttpCall | None = None
        self.kept_at: float | None = None  # when the newest of what is kept came
        self.on_bytes: BytesCarrier = self._keep
        self._on_end: Callable[[ResponseEnd], None] = lambda _end: None
        self.headers: Mapping[str, str] = _NO_HEADERS
        self._status = 0
        self._kept = bytearray()  # a refusal's body, or what came before somebody carried it
        self._ended: ResponseEnd | None = None

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        """The proxy answers; a refusal's body is still to come."""
        self._status, self.headers = status, headers
        if status == 200 and not self.head.done():
            self.head.set_result(Head(status))

    def on_end(self, end: ResponseEnd) -> None:
        """The hop is over."""
        self._ended = end
        if not self.head.done():
            self.head.set_result(Head(self._status, bytes(self._kept), end))
        self._on_end(end)

    def carry(self, on_bytes: BytesCarrier, on_end: Callable[[ResponseEnd], None]) -> None:
        """From now on hand bytes to ``on_bytes``, first those that are here already."""
        self.on_bytes, self._on_end = on_bytes, on_end
        self.headers = _NO_HEADERS
        if self._kept:
            kept, self._kept = bytes(self._kept), bytearray()
            on_bytes(kept)
        if self._ended is not None:
            on_end(self._ended)

    def abort(self) -> None:
        """Close it."""
        if self.call is not None:
            self.call.abort()

    def _keep(self, data: bytes, _framed: bytes = b"") -> None:
        """Hold what comes before the client's headers are out; past a small amount it waits in the socket."""
        self.kept_at = time.monotonic()
        self._kept += data
        if len(self._kept) >= KEPT_BYTES and self.call is not None:
            self.call.pause()
