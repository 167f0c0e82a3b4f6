"""How clients made for Ollama ask the proxy: by Accept, and by a probe. What comes back is in test_ollama_shapes.py."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from tests.behaviour.ollama_client import asking
from tests.behaviour.script import scripted
from tests.chain import Chain
from tests.reader import Client

OBJECT: Final = "application/json; charset=utf-8"
LINES: Final = "application/x-ndjson"
FRAMES: Final = "text/event-stream; charset=utf-8"
PREFERENCES: Final = [
    ("application/json", None, LINES),  # the official clients say so for streams, too
    ("application/x-ndjson", None, LINES),
    ("*/*", None, LINES),
    ("text/event-stream", None, FRAMES),
    ("TEXT/EVENT-STREAM", False, FRAMES),
    ("application/json;q=0.5, text/event-stream", False, FRAMES),
    ("application/json, text/event-stream;q=0.9", True, LINES),
    ("application/json, text/event-stream", False, OBJECT),
    ("application/json, text/event-stream", True, LINES),
    ("text/event-stream, */*", False, OBJECT),
    ("text/event-stream;q=0, */*;q=0.1", True, LINES),
    ("text/event-stream;q=0", False, OBJECT),
    ("text/html", False, OBJECT),
]


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[Client]:
    async with Client(chain.proxy.url) as client:
        yield client


@pytest.mark.parametrize(("accept", "stream", "content_type"), PREFERENCES)
async def test_frames_are_for_who_prefers_them_and_at_equal_preference_the_body_says(
    accept: str, stream: bool | None, content_type: str, client: Client
) -> None:
    model = scripted(tokens=30)
    body = asking("chat", model.name) | {"stream": stream}
    answer = await client.ask("/api/chat", body, {"Accept": accept})

    assert answer.headers["Content-Type"] == content_type
    if content_type == FRAMES:
        assert (answer.text, answer.reason) == (model.text, "stop")


async def test_lines_are_kept_from_whoever_would_gather_or_change_them(client: Client) -> None:
    answer = await client.ask("/api/chat", asking("chat", "sim:tokens=1"))

    assert answer.headers["Content-Type"] == LINES
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert answer.headers["Cache-Control"] == "no-store, no-transform"


@pytest.mark.parametrize("path", ["/", "/api/tags", "/api/ps", "/api/version", "/api/streams", "/health", "/livez"])
async def test_head_is_answered_where_get_is_at_the_proxy(path: str, client: Client) -> None:
    """As an Ollama does: clients probe it so."""
    async with client.open("HEAD", path) as reading:
        head = await reading.until_end()
    got = await client.get(path)

    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert got.body


async def test_who_probes_for_an_ollama_finds_one_running(client: Client) -> None:
    answer = await client.get("/")

    assert (answer.status, answer.body) == (200, b"Sluice is running")
