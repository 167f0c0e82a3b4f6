"""Responses as bytes, and those of Ollama's answers that are not streams: errors, loads, lists, redirects.

Header fields stand in Go's order: the handler's by name, Date, Content-Length, Connection, Transfer-Encoding.
"""

from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from services.simulator.lines import go_json

JSON: Final = "application/json; charset=utf-8"
NDJSON: Final = "application/x-ndjson"
STREAM_ERROR: Final = "application/json"  # of an error that ends a stream before its first line
MAX_SIZED_BODY: Final = 2048  # what Go's server gathers before it decides on chunks
LAST_CHUNK: Final = b"0\r\n\r\n"
QUEUE_FULL: Final = "server busy, please try again.  maximum pending requests exceeded"


class Reply(NamedTuple):
    """A response that is not a stream; ``fields`` are those beside Date and the body's size."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    fields: Mapping[str, str] = {}
    chunked: bool = False

    def encode(self, now_s: float, *, with_body: bool = True, keep_alive: bool = True) -> bytes:
        """Return the bytes of the response; ``with_body`` False answers a HEAD request."""
        chunked = self.chunked or len(self.body) > MAX_SIZED_BODY
        fields = dict(self.fields) | ({"Content-Type": self.content_type} if self.content_type else {})
        if not chunked:
            return head(self.status, fields, now_s, keep_alive, len(self.body)) + (self.body if with_body else b"")
        if not with_body:
            return head(self.status, fields, now_s, keep_alive, None)
        fields_and_framing = head(self.status, fields, now_s, keep_alive, "chunked")
        return fields_and_framing + chunk(self.body) + LAST_CHUNK


def chunk(data: bytes) -> bytes:
    """Return ``data`` as one HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def head(status: int, fields: Mapping[str, str], now_s: float, keep_alive: bool, framing: int | str | None) -> bytes:
    """Return status line and header fields.

    Args:
        status: of the response.
        fields: beside Date, Connection and the framing.
        now_s: seconds since the epoch.
        keep_alive: False says ``Connection: close``.
        framing: the body's size in bytes, a transfer coding, or None for a body that ends with the connection.
    """
    lines = [f"{name}: {fields[name]}" for name in sorted(fields)] + [f"Date: {http_date(int(now_s))}"]
    lines += [f"Content-Length: {framing}"] if isinstance(framing, int) else []
    lines += [] if keep_alive else ["Connection: close"]
    lines += [f"Transfer-Encoding: {framing}"] if isinstance(framing, str) else []
    return "\r\n".join([f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *lines, "", ""]).encode("latin-1")


@lru_cache(maxsize=2)
def http_date(epoch_s: int) -> str:
    """Return a second as HTTP's Date; only the present one is ever asked for."""
    return formatdate(epoch_s, usegmt=True)


def json_reply(value: Any, status: int = 200) -> Reply:
    """Return ``value`` as Ollama's JSON."""
    return Reply(status, go_json(value))


def error(status: int, text: str) -> Reply:
    """Return an error from before the scheduler."""
    return json_reply({"error": text}, status)


def stream_error(status: int, text: str) -> Reply:
    """Return an error from after the scheduler, where the answer would have been a stream."""
    return Reply(status, go_json({"error": text}), STREAM_ERROR, chunked=True)


def not_found() -> Reply:
    """Return the answer to a path that is no route."""
    return Reply(404, b"404 page not found", "text/plain")


def method_not_allowed(allow: str) -> Reply:
    """Return the answer to a route's wrong method."""
    return Reply(405, b"405 method not allowed", "text/plain", {"Allow": allow})


def without_slash(method: str, path: str) -> Reply:
    """Return the redirect from a path with a trailing slash: 301 with a page for GET, 307 for the rest."""
    if method == "GET":
        page = f'<a href="{path}">Moved Permanently</a>.\n\n'.encode()
        return Reply(301, page, "text/html; charset=utf-8", {"Location": path})
    return Reply(307, b"", None, {"Location": path})


def forbidden() -> Reply:
    """Return the empty answer to a foreign Host or Origin."""
    return Reply(403, b"", None)
