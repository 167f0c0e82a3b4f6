"""aiohttp's HTTP server on one socket, with our settings, and without a word of its own.

What its parser refuses, and what no handler and no middleware answered, is answered here, in our shape; behind headers
that have left, nothing is. How this hangs on aiohttp is said in ARCHITECTURE.md, "What hangs on aiohttp's inside".
"""

import asyncio
import secrets
import socket
import sys
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http import HttpRequestParser, RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EmptyStreamReader

from services.http import edge
from services.runtime.listening import BACKLOG, CannotListen, Listener, bind, bound_address
from services.runtime.settings import Address

READ_BUFFER_BYTES: Final = 64 << 10
LINGERING_S: Final = 0.5  # a refused body: at 0 the 413 is lost in a reset, at the default 10 s the socket is kept
ACCEPTED_A_TURN: Final = 8
"""uvloop accepts one connection of a listening socket in a turn of its loop, and beside a thousand streams a turn is
long: so many descriptors of the same socket take so many."""
HANDLERS_END_S: Final = 1.0  # aiohttp waits this long twice: for handlers to end, and after it cancelled them

Refusal = Callable[[int, str, str], edge.Answer]
"""Makes the answer to a bare HTTP status, from the status, words and the request's id."""

_NOT_HTTP: Final = "This is not a request of HTTP/1.1 as it is spoken here."
_TOO_LONG: Final = "The request line or a header is too long."
_NO_EXPECTATION: Final = "Expect nothing but 100-continue."
_HEAD_END: Final = b"\r\n\r\n"
_BAD_BODY: Final = "the framing of the body is malformed"

log = structlog.get_logger()


class HttpPort:
    """One application on one address: bound, then opened, then closed, as the lifecycle says.

    Args:
        name: what the `listening` line calls its address.
        refusal: what is said where no handler is asked.
    """

    def __init__(self, name: str, app: web.Application, listener: Listener, refusal: Refusal) -> None:
        app.on_response_prepare.append(edge.strip_server_header)
        self.name = name
        self._listener = listener
        self._socket: socket.socket | None = None
        self._listening: list[asyncio.Server] = []
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,  # a client that left cancels its handler: off by default
            shutdown_timeout=HANDLERS_END_S,
        )
        self._connect = partial(
            ServerConnection,
            refusal=refusal,
            keepalive_timeout=listener.keepalive_timeout_s,
            lingering_time=LINGERING_S,
            read_bufsize=READ_BUFFER_BYTES,
            auto_decompress=False,  # a small body must not become a huge one
            access_log=None,  # our one line a stream replaces it
        )

    def bind(self) -> None:
        """Take the address.

        Raises:
            CannotListen: it is taken.
        """
        self._socket = bind(self._listener)

    async def open(self) -> Address:
        """Take connections; return where.

        Raises:
            CannotListen: another process took the address since it was bound.
        """
        assert self._socket is not None
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        server = self._runner.server
        assert server is not None
        connect = partial(self._connect, server, loop=loop)
        try:
            for _ in range(ACCEPTED_A_TURN):
                taking = await loop.create_server(connect, sock=self._socket.dup(), backlog=BACKLOG)
                self._listening.append(taking)
        except OSError as exc:
            raise CannotListen(self._listener.address, exc) from exc
        return bound_address(self._socket)

    async def close(self) -> None:
        """Take no more connections, close idle ones, and give handlers ``HANDLERS_END_S`` to end."""
        for taking in self._listening:
            taking.close()
        await self._runner.cleanup()
        if self._socket is not None:
            self._socket.close()


class _Requests(list[tuple[Any, Any]]):
    """Requests that wait for their turn: one as a rule, 33 at most, and an empty deque alone holds 760 bytes."""

    __slots__ = ()

    def popleft(self) -> tuple[Any, Any]:
        """Return the first, and take it out."""
        return self.pop(0)


class _WholeBody(EmptyStreamReader):
    """A body that came with its head: bytes until it is read, and then nothing. aiohttp's reader keeps its deque."""

    __slots__ = ("_body",)

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def at_eof(self) -> bool:
        """Whether it was read."""
        return not self._body

    def read_nowait(self, n: int = -1) -> bytes:
        """Return it, or so much of it."""
        end = len(self._body) if n < 0 else n
        piece, self._body = self._body[:end], self._body[end:]
        return piece

    async def readany(self) -> bytes:
        """Return it."""
        return self.read_nowait()

    async def read(self, n: int = -1) -> bytes:
        """Return it, or so much of it."""
        return self.read_nowait(n)


class ServerConnection(web.RequestHandler):
    """One client's socket, as aiohttp reads and answers it, but for aiohttp's own words."""

    __slots__ = ("_refusal",)

    def __init__(self, server: web.Server, *, refusal: Refusal, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._messages = _Requests()  # type: ignore[assignment]  # aiohttp's deque, in what aiohttp asks of it
        self._parser = None
        self._refusal = refusal

    def data_received(self, data: bytes) -> None:
        """Parse what one read brought; a body in which the parser lost its place breaks off at once.

        A request that is answered has no keep-alive to keep: its timer would hold 500 bytes, and wake for nothing. Nor
        has it anything to parse: where it came by one read, the parser is let go until the next one.
        aiohttp queues the parser's error as if it were the next request, and says nothing to who reads the body: the
        reader would wait for its time limit.
        """
        begins = self._parser is None and not self._messages
        if self._parser is None:
            self._parser = self._new_parser()
        super().data_received(data)
        if begins and len(self._messages) == 1:  # behind one that waits, this read need not have brought it
            self._let_parser_go(data)
        if self._messages:
            self.keep_alive(self._keepalive)  # as it is, but without its timer, which is set anew behind the answer
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            current = self._current_request
            bodies = [body for _, body in self._messages] + ([current.content] if current is not None else [])
            for body in bodies:
                if not body.is_eof():
                    body.set_exception(web.RequestPayloadError(_BAD_BODY))
                    body.feed_eof()
                    self.close()  # once that request is answered: what stands behind is no request

    def _new_parser(self) -> HttpRequestParser:
        """Return aiohttp's parser, set up as aiohttp sets it up."""
        return HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=web.RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=self._max_msg_queue_size,
        )

    def _let_parser_go(self, data: bytes) -> None:
        """Let the parser go if ``data`` was one whole request, and nothing beside it.

        It and aiohttp's reader of the body hold four kilobytes, every header three times, for as long as the answer
        takes. A parser that is anew differs in nothing from one that stands between two requests.
        """
        message, body = self._messages[0]
        if not isinstance(message, RawRequestMessage) or message.should_close or message.upgrade or message.chunked:
            return  # where a chunked body ends, and that nothing follows a close, the parser knows
        if body.is_eof() and data.find(_HEAD_END) + len(_HEAD_END) + body.total_bytes == len(data):
            whole = _WholeBody(body.read_nowait()) if body.total_bytes else body
            self._messages[0] = message._replace(raw_headers=()), whole
            self._parser = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 aiohttp's words, which quote the request
    ) -> web.StreamResponse:
        """Answer what the parser refused (400), or what came out of the application; then the connection closes.

        Written past aiohttp's response, which would name its software.

        Raises:
            asyncio.CancelledError: always, as if the client had left: aiohttp has nothing to write.
        """
        if edge.has_begun(request):
            edge.break_off(request)
        elif self.transport is not None:
            request_id = secrets.token_hex(8)
            if status == HTTPStatus.BAD_REQUEST:
                words = _TOO_LONG if isinstance(exc, LineTooLong) else _NOT_HTTP
                log.debug("request.not_http", request_id=request_id, why=type(exc).__name__)
            else:
                status, words = 500, edge.OUR_FAULT
                log.error("request.failed", request_id=request_id, exc_info=exc or sys.exc_info()[1])
            self.transport.write(_as_http(self._refusal(status, words, request_id), request_id))
        raise asyncio.CancelledError

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Let aiohttp write ``resp``, unless another one has begun; its own refusals get our shape.

        Raises:
            ConnectionError: another response has begun.
        """
        if edge.has_begun(request) and not resp.prepared:
            edge.break_off(request)
            raise ConnectionError
        if isinstance(resp, web.HTTPException):
            words = _NO_EXPECTATION if resp.status == HTTPStatus.EXPECTATION_FAILED else resp.reason
            request_id = secrets.token_hex(8)
            resp = edge.response_of(self._refusal(resp.status, words, request_id), resp.headers)
            resp.headers["X-Request-Id"] = request_id
        return await super().finish_response(request, resp, start_time)


def _as_http(answer: edge.Answer, request_id: str) -> bytes:
    """Return ``answer`` as the bytes of a response behind which the connection closes."""
    status, headers, body = answer
    fields = {**headers, "X-Request-Id": request_id, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
