"""HTTP to a server of tools, with bounds that the ``mcp`` package leaves out: of a whole answer, and of a goodbye."""

from collections.abc import AsyncIterator
from typing import Final

import httpx2

MESSAGE_BYTES: Final = 8 << 20
"""Of one whole answer; an event of a stream is bounded by the package."""
GOODBYE_S: Final = 2.0
"""How long the end of a session may take: a proxy that stops waits for it."""
_EVENTS: Final = "text/event-stream"


class TooLong(httpx2.StreamError):
    """A whole answer has more than :data:`MESSAGE_BYTES`; the package makes it the end of one call."""


class BoundedHttp(httpx2.AsyncBaseTransport):
    """Another transport, with bounds.

    Args:
        inner: who is on the network.
    """

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Ask for an answer that is not compressed, as a short one could be of any length; read none as if it were."""
        request.headers["Accept-Encoding"] = "identity"
        if request.method == "DELETE":
            request.extensions["timeout"] = httpx2.Timeout(GOODBYE_S).as_dict()
        response = await self._inner.handle_async_request(request)
        response.headers.pop("content-encoding", None)
        if not response.headers.get("content-type", "").startswith(_EVENTS):
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream)
        return response

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MESSAGE_BYTES
        async for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise TooLong(f"more than {MESSAGE_BYTES} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()
