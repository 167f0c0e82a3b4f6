"""What a command line hears of a server, or that it hears nothing."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from services.runtime.probe import get, get_json
from services.runtime.settings import Origin
from tests.ports import free_port

ANSWERS = {"/json": (200, b'{"a":1}'), "/text": (200, b"<html>"), "/empty": (200, b""), "/gone": (503, b"{}")}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Origin]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield Origin("http", "127.0.0.1", serving.server_port)
        serving.shutdown()
        thread.join()


def test_a_body_is_returned_for_200_alone(server: Origin) -> None:
    assert [get(server, path, 5) for path in ANSWERS] == [b'{"a":1}', b"<html>", b"", None]


def test_what_is_not_json_is_no_json(server: Origin) -> None:
    assert [get_json(server, path, 5) for path in ANSWERS] == [{"a": 1}, None, None, None]


def test_nobody_there_is_none() -> None:
    assert get(Origin("http", "127.0.0.1", free_port()), "/", 5) is None
