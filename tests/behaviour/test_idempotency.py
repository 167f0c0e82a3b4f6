"""The same request under the same Idempotency-Key is one generation, whoever repeats it and whenever.

Of proxy/routes/responder.py and proxy/streams/registry.py.
"""

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import told
from tests.behaviour.gate import common_gate
from tests.behaviour.refusals import refused, refused_as_ollama
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.reader import Client

AT_ONCE: Final = 50
MOST_READERS: Final = 8
GRACE_S: Final = 0.5
AS_JSON: Final = {"Accept": "application/json"}  # a snapshot has no reader, whose leaving would keep the log longer
GATEWAY: Final = ("/api/chat/stream", "/api/chat", "/api/generate/stream")
PROXY: Final = ("/api/chat/stream", "/api/chat", "/api/generate/stream", "/api/generate")
ROUTES: Final = [*(("gateway", path) for path in GATEWAY), *(("proxy", path) for path in PROXY)]


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    proxy = {"GRACE_S": f"{GRACE_S}", "KEEP_S": "5"}
    with running_chain(simulator=simulator, proxy=proxy, log_level="debug") as chain, common_gate(chain):
        yield chain


@pytest.fixture(params=ROUTES, ids=" ".join)
async def route(request: pytest.FixtureRequest, chain: Chain) -> AsyncIterator[tuple[Client, str]]:
    """A client and a route of either server on which a key may be sent."""
    side, path = request.param
    async with Client(getattr(chain, side).url) as client:
        yield client, path


def key() -> dict[str, str]:
    """A fresh key that nobody can guess."""
    return {"Idempotency-Key": secrets.token_urlsafe(24)}


def asking(path: str, model: str, **fields: Any) -> dict[str, Any]:
    said = {"prompt": "hi"} if "generate" in path else {"messages": [{"role": "user", "content": "hi"}]}
    return {"model": model, **said, **fields}


async def test_the_same_key_sent_fifty_times_at_once_is_one_generation(chain: Chain, client: Client) -> None:
    """Eight read it whole, the others are told that it has its readers; again after it, it is the kept one."""
    model, one = scripted(tokens=180, rate=60), key()  # it runs until all fifty have come
    body = asking("/api/chat/stream", model.name)
    answers = await asyncio.gather(*(client.ask("/api/chat/stream", body, one) for _ in range(AT_ONCE)))
    again = await client.ask("/api/chat/stream", body, one)
    whole = [answer for answer in answers if answer.status == 200]

    assert Counter(answer.status for answer in answers) == {200: MOST_READERS, 429: AT_ONCE - MOST_READERS}
    assert {(answer.text, answer.reason) for answer in (*whole, again)} == {(model.text, "stop")}
    assert len({answer.stream_id for answer in (*whole, again)}) == 1
    assert len(chain.calls(model.name)) == 1
    for answer in answers:
        if answer.status == 429:
            refused(answer, Code.CONCURRENCY_LIMITED)


async def test_a_repeated_key_joins_the_stream_from_its_beginning(chain: Chain, route: tuple[Client, str]) -> None:
    """While it runs and after it, by every route that starts one; each in the shape that it asks for."""
    client, path = route
    model, one = scripted(tokens=20, rate=150), key()
    body = asking(path, model.name)
    first, second = await asyncio.gather(client.ask(path, body, one), client.ask(path, body, one))
    kept = await client.ask(path, body, one)

    assert len({answer.headers["X-Stream-Id"] for answer in (first, second, kept)}) == 1
    assert [text_of(answer.body) or answer.text for answer in (first, second, kept)] == [model.text] * 3
    assert len(chain.calls(model.name)) == 1


def text_of(body: bytes) -> str:
    """Return the text of lines, or of one object, of any kind; "" if there are none."""
    parts = [json.loads(line) for line in body.split(b"\n") if line]
    return "".join(part.get("response") or part.get("message", {}).get("content", "") for part in parts)


async def test_a_repeated_key_is_the_same_stream_by_whatever_route_it_is_asked_for(chain: Chain) -> None:
    """Through the gateway as frames or whole, and at the proxy as lines or frames."""
    model, one = scripted(tokens=5), key()
    capped = asking("/api/chat", model.name, options={"num_predict": 9})
    async with Client(chain.gateway.url) as people, Client(chain.proxy.url) as direct:
        answers = [
            await people.ask("/api/chat/stream", capped, one),
            await people.ask("/api/chat", {**capped, "stream": False}, one),
            await direct.ask("/api/chat", capped, one),
            await direct.ask("/api/chat", capped, {**one, "Accept": "text/event-stream"}),
        ]

    assert len({answer.headers["X-Stream-Id"] for answer in answers}) == 1
    assert [text_of(answer.body) or answer.text for answer in answers] == [model.text] * 4
    assert len(chain.calls(model.name)) == 1


@pytest.mark.parametrize("over", [False, True], ids=["running", "kept"])
async def test_another_body_under_the_same_key_is_a_conflict(
    over: bool, chain: Chain, route: tuple[Client, str]
) -> None:
    client, path = route
    model, one = scripted(tokens=20, rate=150), key()
    body = asking(path, model.name)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.ask(path, body, one))
        await soon(lambda: chain.calls(model.name), "it runs")
        if over:
            await first
        other = await client.ask(path, {**body, "options": {"seed": 1}}, one)
        another_key = await client.ask(path, {**body, "options": {"seed": 1}}, key())

    in_ollamas_shape = client.url == chain.proxy.url and not path.endswith("/stream")
    (refused_as_ollama if in_ollamas_shape else refused)(other, Code.IDEMPOTENCY_CONFLICT)
    assert first.result().status == another_key.status == 200
    assert len(chain.calls(model.name)) == 2


async def test_a_key_belongs_to_its_owner(chain: Chain) -> None:
    model, one = scripted(tokens=3), key()
    async with Client(chain.proxy.url) as direct:
        answers = [
            await direct.ask("/api/chat/stream", asking("", model.name), {**one, "Sluice-Owner": owner})
            for owner in ("ada", "bob", "ada")
        ]

    assert answers[0].stream_id == answers[2].stream_id != answers[1].stream_id


# --- what frees a key


async def test_a_cancelled_answer_frees_its_key(chain: Chain, client: Client) -> None:
    model, one = scripted(tokens=120, rate=60), key()
    body = asking("", model.name)
    async with client.open("POST", "/api/chat/stream", body, one) as reading:
        await reading.until_tokens(2)
        assert (await client.ask(f"{reading.answer.path}/cancel")).status == 202
        first = await reading.until_end()
    second = await client.ask("/api/chat/stream", body, one)

    assert (first.reason, second.reason, second.text) == ("cancelled", "stop", model.text)
    assert len(chain.calls(model.name)) == 2


async def test_an_abandoned_answer_frees_its_key(chain: Chain, client: Client) -> None:
    model, one = scripted(tokens=120, rate=60), key()
    body = asking("", model.name, on_disconnect="continue")
    async with client.open("POST", "/api/chat/stream", body, {**one, "X-Request-Id": "abandons-it"}) as reading:
        await reading.until_tokens(2)
        reading.leave()
    assert await told(chain.proxy, "abandons-it") == ["abandoned"]
    second = await client.ask("/api/chat/stream", body, one)

    assert second.text == model.text
    assert len(chain.calls(model.name)) == 2


@pytest.mark.parametrize("fault", ["fault=error,at=3", "fault=reset,at=3", "status=400", "status=503"])
async def test_a_failed_answer_frees_its_key(fault: str, chain: Chain, client: Client) -> None:
    attempts = 3 if fault == "status=503" else 1
    model, one = f"{scripted(tokens=9).name},{fault},times={attempts}", key()
    first = await client.ask("/api/chat/stream", asking("", model), one)
    second = await client.ask("/api/chat/stream", asking("", model), one)

    assert first.status != 200 or first.reason.startswith("upstream_")
    assert second.reason == "stop"
    assert len(chain.calls(model)) == attempts + 1


async def test_a_key_lives_as_long_as_its_log(chain: Chain) -> None:
    proxy = chain.another_proxy(GRACE_S="0.3", KEEP_S="0.3")
    model, one = scripted(tokens=3), key()
    async with Client(proxy.url) as direct:
        first = await direct.ask("/api/chat/stream", asking("", model.name), one)
        await soon(lambda: proxy.get(f"/api/streams/{first.stream_id}", AS_JSON)[0] == 410, "it is forgotten")
        second = await direct.ask("/api/chat/stream", asking("", model.name), one)
    proxy.stop()

    assert second.reason == "stop"
    assert first.stream_id != second.stream_id


# --- what is no key


@pytest.mark.parametrize("given", ["", "short", "a" * 21, "a" * 65, "a" * 30 + " b", "a" * 30 + "é", "a/b" * 10])
async def test_a_key_of_another_form_is_refused_before_the_model(
    given: str, chain: Chain, route: tuple[Client, str]
) -> None:
    """It has to be unguessable: who knows it reads the answer."""
    client, path = route
    model = scripted(tokens=1).name
    answer = await client.ask(path, asking(path, model), {"Idempotency-Key": given})

    in_ollamas_shape = client.url == chain.proxy.url and not path.endswith("/stream")
    told_in = (refused_as_ollama if in_ollamas_shape else refused)(answer, Code.INVALID_REQUEST)
    assert "Idempotency-Key" in (told_in if isinstance(told_in, str) else told_in["message"])
    assert chain.calls(model) == []


@pytest.mark.parametrize("given", ["a" * 22, "A_-9" * 16])
async def test_a_key_of_the_form_is_taken(given: str, client: Client) -> None:
    answer = await client.ask("/api/chat/stream", asking("", "sim:tokens=1"), {"Idempotency-Key": given})

    assert answer.reason == "stop"


async def test_who_repeats_a_key_late_gets_what_is_there_in_its_first_frame(client: Client) -> None:
    model, one = scripted(tokens=60, rate=60), key()
    body = asking("", model.name)
    async with client.open("POST", "/api/chat/stream", body, one) as first:
        await first.until_tokens(50)
        async with client.open("POST", "/api/chat/stream", body, one) as second:
            await second.until_tokens(1)
            first_words = second.answer.text
            rest = await second.until_end()
        await first.until_end()

    assert first_words.startswith("".join(model.tokens[:50]))
    assert rest.text == model.text
