"""The one place of the gateway that touches the network behind it: start, follow, stop and leave a proxy's streams."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from services.http.client import Connections, HttpClient, HttpResponse, TransportError
from services.http.connection import HttpCall, HttpRequest, ResponseReader
from services.runtime.settings import Origin
from services.wire import body_writer
from services.wire.hop import ASKED_AS, HOP, HOP_VERSION, Chat
from services.wire.request import ModelRequest
from services.wire.trace import Trace

CONNECT_TIMEOUT_S: Final = 1.0
ANSWER_S: Final = 10.0
"""For a stop: it is answered when the model server's socket is closed."""
DEPART_S: Final = 5.0
"""For a follower's leaving: past it the proxy lets go by itself."""
READ_S: Final = 2.0
READ_BYTES: Final = 8 << 20
PATHS: Final[Mapping[str, str]] = {"chat": "/api/chat/stream", "generate": "/api/generate/stream"}
OLLAMA_PATHS: Final[Mapping[str, str]] = {
    name: f"/api/{name}" for name in ("tags", "ps", "version", "show", "embed", "embeddings")
}
"""What is passed on in Ollama's shape: paths come from here, never from a request."""
PASSED_S: Final = 12.0
"""Longer than the proxy gives the model server, so that the proxy's own words come."""
EMBED_S: Final = 1800.0
"""The proxy's limits of a wait in line and of a first token end it before."""
_NATIVE: Final = "text/event-stream;dialect=native"


@dataclass(frozen=True, slots=True)
class HopFollower:
    """One hop's reader as the proxy knows it: a name nobody can guess, made anew for each hop."""

    name: str
    request_id: str
    trace: Trace | None = None
    owner: str = ""
    line: str = ""
    chat: Chat | None = None

    @classmethod
    def new(
        cls,
        request_id: str,
        trace: Trace | None = None,
        owner: str = "",
        line: str = "",
        chat: Chat | None = None,
    ) -> "HopFollower":
        """Return one with a fresh name.

        Args:
            owner: whose streams it may follow, "" where nobody is known.
            line: as whom it takes turns then.
            chat: the page's name for the conversation, by which it may come back.
        """
        return cls(secrets.token_urlsafe(24), request_id, trace, owner, line, chat)

    @property
    def headers(self) -> dict[str, str]:
        """What each of its requests carries."""
        own = {"Accept": _NATIVE, "X-Request-Id": self.request_id, "Sluice-Follower": self.name, HOP: HOP_VERSION}
        chat, trace = (part.headers if part else {} for part in (self.chat, self.trace))
        return {**own, **_owned(self.owner), **chat, **trace}


@dataclass(frozen=True, slots=True)
class RepeatKey:
    """A client's Idempotency-Key; ``asked_as`` tells its request from another where it is sent on as a longer one."""

    name: str
    asked_as: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a hop that say it."""
        return {"Idempotency-Key": self.name, **({ASKED_AS: self.asked_as} if self.asked_as else {})}


class Upstream:
    """Calls of one proxy, by its ``name`` among those of this gateway."""

    def __init__(self, origin: Origin, name: str = "") -> None:
        self.name = name
        self._client = HttpClient(origin.host, origin.port, connect_timeout_s=CONNECT_TIMEOUT_S)

    async def start(
        self,
        asked: ModelRequest,
        leave: str,
        follower: HopFollower,
        reader: ResponseReader,
        *,
        key: RepeatKey | None = None,
        fresh: bool = False,
    ) -> HttpCall:
        """Ask for a new stream; ``reader`` hears the hop.

        Args:
            leave: what this client's leaving means, "cancel" or "continue".
            key: by which the client may repeat it.
            fresh: on a new connection.

        Raises:
            TransportError: nothing was sent.
        """
        headers = {**follower.headers, "Content-Type": "application/json", "Sluice-Leave": leave}
        headers |= _turning(follower.line)
        if key is not None:
            headers |= key.headers
        request = HttpRequest("POST", PATHS[asked.kind], headers, body_writer.written(asked))
        return await self._client.open(request, reader, fresh=fresh)

    async def follow(
        self, stream_id: str, position: int, follower: HopFollower, reader: ResponseReader, *, fresh: bool = False
    ) -> HttpCall:
        """Follow a stream after a number.

        Raises:
            TransportError: nothing was sent.
        """
        request = HttpRequest("GET", f"/api/streams/{stream_id}?after={position}", follower.headers)
        return await self._client.open(request, reader, fresh=fresh)

    async def stop(self, stream_id: str, request_id: str, owner: str = "") -> HttpResponse:
        """Stop a stream of this owner's.

        Raises:
            TransportError: no answer came.
        """
        request = HttpRequest("DELETE", f"/api/streams/{stream_id}", {"X-Request-Id": request_id, **_owned(owner)})
        return await self._client.fetch(request, max_bytes=READ_BYTES, timeout_s=ANSWER_S)

    async def approve(self, stream_id: str, call_id: str, approve: bool, request_id: str, owner: str) -> HttpResponse:
        """Pass on a person's word about a call of a stream of this owner's.

        Raises:
            TransportError: no answer came.
        """
        headers = {"X-Request-Id": request_id, "Content-Type": "application/json", **_owned(owner)}
        path, body = f"/api/streams/{stream_id}/tools/{call_id}", orjson.dumps({"approve": approve})
        return await self._client.fetch(
            HttpRequest("POST", path, headers, body), max_bytes=READ_BYTES, timeout_s=READ_S
        )

    async def snapshot(self, stream_id: str, owner: str = "") -> HttpResponse:
        """Return all that is held of the answer of a stream of this owner's.

        Raises:
            TransportError: no answer came.
        """
        request = HttpRequest("GET", f"/api/streams/{stream_id}", {"Accept": "application/json", **_owned(owner)})
        return await self._client.fetch(request, max_bytes=READ_BYTES, timeout_s=READ_S)

    async def depart(self, follower: HopFollower, *, unseen: bool) -> None:
        """Say that this follower left on purpose; a proxy that does not hear it finds out by itself.

        Args:
            unseen: its client never got the headers.
        """
        seen = {"Sluice-Unseen": "1"} if unseen else {}
        headers = {"X-Request-Id": follower.request_id, **_owned(follower.owner), **seen}
        request = HttpRequest("DELETE", f"/api/followers/{follower.name}", headers)
        try:
            await self._client.fetch(request, max_bytes=READ_BYTES, timeout_s=DEPART_S)
        except TransportError:
            return

    async def read(self, path: str, owner: str = "") -> HttpResponse:
        """Return what the proxy answers under one of its constant paths: a list of streams is this owner's.

        Raises:
            TransportError: no answer came.
        """
        return await self._client.fetch(HttpRequest("GET", path, _owned(owner)), max_bytes=READ_BYTES, timeout_s=READ_S)

    async def show(self, model: str) -> HttpResponse:
        """Return what the proxy's model server says of one model.

        Raises:
            TransportError: no answer came.
        """
        headers = {"Content-Type": "application/json"}
        request = HttpRequest("POST", "/api/show", headers, orjson.dumps({"model": model}))
        return await self._client.fetch(request, max_bytes=READ_BYTES, timeout_s=READ_S)

    async def ollama(
        self,
        name: str,
        body: bytes | None,
        request_id: str,
        trace: Trace | None = None,
        *,
        owner: str = "",
        line: str = "",
    ) -> HttpResponse:
        """Return what the proxy answers under one of :data:`OLLAMA_PATHS`; with a JSON body it is a POST.

        Raises:
            TransportError: no answer came.
        """
        headers = {"X-Request-Id": request_id, "Content-Type": "application/json", **(trace.headers if trace else {})}
        headers |= {**_owned(owner), **_turning(line)}
        request = HttpRequest("GET" if body is None else "POST", OLLAMA_PATHS[name], headers, body or b"")
        timeout_s = EMBED_S if name in {"embed", "embeddings"} else PASSED_S
        return await self._client.fetch(request, max_bytes=READ_BYTES, timeout_s=timeout_s)

    def connections(self) -> Connections:
        """Count the connections to the proxy."""
        return self._client.connections

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()


def _owned(owner: str) -> dict[str, str]:
    return {"Sluice-Owner": owner} if owner else {}


def _turning(line: str) -> dict[str, str]:
    return {"Sluice-Line": line} if line else {}
