"""What the proxy passes through of its model server, what it does not offer, and what it bounds.

Of proxy/routes/ollama.py.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from services.wire.events import Code
from tests.behaviour.gate import common_gate
from tests.behaviour.refusals import refused_as_ollama
from tests.chain import Chain, running_chain
from tests.reader import Client

PASSED_BYTES: Final = 8 << 20
PASSED_S: Final = 10.0
SLACK_S: Final = 3.0
NOT_OFFERED: Final = {
    "/api/pull": "POST", "/api/push": "POST", "/api/create": "POST", "/api/copy": "POST", "/api/delete": "DELETE",
    "/api/blobs/sha256:0f1e2d": "POST", "/api/me": "POST",
    "/api/signout": "POST", "/v1/chat/completions": "POST", "/v1/embeddings": "POST", "/api": "GET",
}  # fmt: skip


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with running_chain(simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}) as chain, common_gate(chain):
        yield chain


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[Client]:
    async with Client(chain.proxy.url) as client:
        yield client


@pytest.mark.parametrize("path", NOT_OFFERED)
async def test_what_is_not_offered_is_a_404_whose_words_say_what_is(path: str, chain: Chain, client: Client) -> None:
    """S3."""
    body = {"model": "story", "name": "story", "input": "hi"}
    async with client.open(NOT_OFFERED[path], path, body if path != "/api" else None) as reading:
        answer = await reading.until_end()

    words = refused_as_ollama(answer, Code.NOT_FOUND)
    assert "Not offered" in words
    assert {"chat", "generate", "embed", "embeddings", "tags", "ps", "version", "show"} <= set(
        words.replace(",", "").rstrip(".").split()
    )
    assert not [call for call in chain.witness()["calls"] if call["path"] == path]


@pytest.mark.parametrize("path", ["/api/tags", "/api/version"])
async def test_lists_pass_through_as_they_are(path: str, chain: Chain, client: Client) -> None:
    ours = await client.get(path)
    status, direct = chain.simulator.get(path)

    assert (ours.status, ours.body) == (status, direct)
    assert ours.headers["Content-Type"].startswith("application/json")


async def test_what_is_loaded_passes_through_with_its_size_in_memory(chain: Chain, client: Client) -> None:
    await client.ask("/api/generate", {"model": "story:seed=7", "prompt": "hi"})
    ours = json.loads((await client.get("/api/ps")).body)
    direct = json.loads(chain.simulator.get("/api/ps")[1])
    loaded = {model["name"]: model for model in ours["models"]}

    assert loaded["story:seed=7"]["size_vram"] == 0
    assert loaded.keys() == {model["name"] for model in direct["models"]}
    assert {tuple(model) for model in ours["models"]} == {tuple(model) for model in direct["models"]}


async def test_show_passes_through_and_asks_for_the_model_alone(chain: Chain, client: Client) -> None:
    """Its body is rebuilt: a field that we do not know may change the server."""
    before = len(shown(chain))
    async with Client(chain.simulator.url) as simulator:
        direct = await simulator.ask("/api/show", {"model": "thinker"})
    ours = await client.ask("/api/show", {"model": "thinker", "name": "story", "verbose": True, "system": "x"})

    assert (ours.status, ours.body) == (200, direct.body)
    assert [call["body_bytes"] for call in shown(chain)[before:]] == [
        len(b'{"model": "thinker"}'),
        len(b'{"model":"thinker"}'),
    ]


async def test_show_takes_the_older_name_of_a_model(client: Client) -> None:
    newer, older = [await client.ask("/api/show", {name: "thinker"}) for name in ("model", "name")]

    assert (older.status, older.body) == (newer.status, newer.body) == (200, newer.body)


def shown(chain: Chain) -> list[dict[str, object]]:
    """Return the calls of /api/show."""
    return [call for call in chain.witness()["calls"] if call["path"] == "/api/show"]


async def test_show_of_an_unknown_model_is_ollamas_own_404(chain: Chain, client: Client) -> None:
    async with Client(chain.simulator.url) as simulator:
        direct = await simulator.ask("/api/show", {"model": "nobody"})
    ours = await client.ask("/api/show", {"model": "nobody"})

    assert (
        (ours.status, ours.body)
        == (direct.status, direct.body)
        == (
            404,
            b'{"error":"model \'nobody:latest\' not found"}',
        )
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        *(({}, "model is required"), ({"model": ""}, "model is required"), ({"model": 5}, "model must be a string")),
        *(({"name": 5}, "name must be a string"), ({"model": "m" * 257}, "model must have at most 256 characters")),
        *(([], "Send one JSON object"), (None, "Send one JSON object")),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_show_without_a_model_is_refused_by_name(body: object, words: str, chain: Chain, client: Client) -> None:
    before = len(shown(chain))
    answer = await client.ask("/api/show", body)

    assert refused_as_ollama(answer, Code.INVALID_REQUEST).startswith(words)
    assert len(shown(chain)) == before


@contextlib.asynccontextmanager
async def other_server(answer: bytes) -> AsyncIterator[str]:
    """Run a model server that says ``answer`` to every request."""
    connected: list[asyncio.StreamWriter] = []

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer)
                await writer.drain()

    async with await asyncio.start_server(say, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for writer in connected:
            writer.close()


PAGE: Final = b"<html>portal.example.com wants you to sign in</html>"
ERROR: Final = b'{"error":"open /root/.ollama/models/manifests: permission denied"}'


@pytest.mark.parametrize(
    ("status", "body", "code", "words"),
    [
        (200, PAGE, Code.UPSTREAM_MALFORMED, "The model server sent what is not an answer."),
        (404, PAGE, Code.UPSTREAM_ERROR, "The model server answered 404."),
        (504, PAGE, Code.UPSTREAM_ERROR, "The model server answered 504."),
        (500, ERROR, Code.UPSTREAM_ERROR, "open …: permission denied"),
    ],
)
async def test_a_page_does_not_pass_through_nor_do_words_that_name_a_place(
    status: int, body: bytes, code: Code, words: str, chain: Chain
) -> None:
    """What stands before the model server answers these routes, too."""
    head = b"HTTP/1.1 %d Odd\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    async with other_server(head + body) as url:
        proxy = await asyncio.to_thread(chain.another_proxy, OLLAMA_URL=url)
        async with Client(proxy.url) as client:
            answers = [await client.get("/api/tags"), await client.get("/api/version")]
        proxy.stop()

    assert [refused_as_ollama(answer, code) for answer in answers] == [words, words]


async def test_what_passes_through_is_bounded_in_bytes(chain: Chain) -> None:
    listed = json.dumps({"models": [], "more": "x" * PASSED_BYTES}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    async with other_server(head % len(listed) + listed) as url:
        proxy = await asyncio.to_thread(chain.another_proxy, OLLAMA_URL=url)
        async with Client(proxy.url) as client:
            answer = await client.get("/api/tags")
        resident_bytes = proxy.resident_bytes()
        proxy.stop()

    refused_as_ollama(answer, Code.UPSTREAM_UNAVAILABLE)
    assert resident_bytes < 20 * PASSED_BYTES


async def test_what_passes_through_is_bounded_in_time(chain: Chain) -> None:
    async with other_server(b"") as url:
        proxy = await asyncio.to_thread(chain.another_proxy, OLLAMA_URL=url)
        async with Client(proxy.url) as client:
            began = time.monotonic()
            answers = await asyncio.gather(
                client.get("/api/tags"), client.get("/api/ps"), client.ask("/api/show", {"model": "m"})
            )
            took_s = time.monotonic() - began
        proxy.stop()

    for answer in answers:
        refused_as_ollama(answer, Code.UPSTREAM_UNAVAILABLE)
    assert PASSED_S <= took_s <= PASSED_S + SLACK_S


async def test_a_model_server_that_is_not_there_is_503(chain: Chain) -> None:
    proxy = await asyncio.to_thread(chain.another_proxy, OLLAMA_URL="http://127.0.0.1:1")
    async with Client(proxy.url) as client:
        answers = [await client.get("/api/tags"), await client.ask("/api/show", {"model": "m"})]
    proxy.stop()

    for answer in answers:
        refused_as_ollama(answer, Code.UPSTREAM_UNAVAILABLE)
