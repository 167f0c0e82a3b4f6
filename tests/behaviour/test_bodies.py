"""Request bodies over HTTP: every route reads, refuses and forwards them by the rules. Cases S7, M8, M14.

The rules are held where they are read, without a server: each field's values, limits and our words, null and absent in
tests/wire/test_bodies.py; bodies that are none, their depth and numbers in tests/wire/test_validation.py and
test_json_text.py; what Ollama is sent in tests/proxy/providers. Here is what a socket adds: each route has its reader,
its shape of a refusal and its limits, every field gets to the model, and nobody is asked for what is refused.
"""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import aiohttp
import pytest

from services.wire.events import Code
from tests.behaviour.body_routes import BODY_ROUTES, Route, bodies_at_the_model
from tests.behaviour.gate import common_gate
from tests.behaviour.refusals import parsed
from tests.chain import Chain, running_chain
from tests.reader import Client, raw_exchange
from tests.wire.requests import PNG, full_body, name_of, with_field, without_field

GATEWAY_BODY_BYTES: Final = 1 << 20  # small beside the growth that the gate allows; its default is 8 MiB
PROXY_BODY_BYTES: Final = 32 << 20
DECODED_BYTES: Final = 16 << 20  # S7: most memory that pictures may take
STRANGE: Final = "\0\x01\x7f\x85\u2028\u2029\ufeff\ufffe\u202e\u200de\u0301ё灯台🦔👩‍👩‍👧\U0010ffff"
"""Valid, each: controls, line ends of other languages, a BOM, a non-character, marks that turn and join."""


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    gateway = {"BODY_BYTES": str(GATEWAY_BODY_BYTES)}
    with running_chain(simulator=simulator, gateway=gateway) as chain, common_gate(chain):
        yield chain


@pytest.fixture(params=BODY_ROUTES, ids=lambda route: route.name)
def route(request: pytest.FixtureRequest) -> Route:
    found: Route = request.param
    return found


@pytest.fixture
async def client(chain: Chain, route: Route) -> AsyncIterator[Client]:
    """A client of the route's server; the model server remembers nothing yet."""
    chain.forget()
    async with Client(route.server(chain).url) as client:
        yield client


# --- fields


WRONG: Final = {
    ("think",): ("very high", "must be true, false or a word of 1 to 16 letters"),
    ("options", "temperature"): ("0.7", "must be a number"),
    ("model",): ("", "must not be empty"),
}
"""One at the top, one inside, one that is required; a value of each and our words for it."""


async def test_a_field_that_is_wrong_is_a_400_that_names_it(route: Route, chain: Chain, client: Client) -> None:
    bodies = [with_field(full_body(route.reader), path, value) for path, (value, _) in WRONG.items()]
    answers = [await client.ask(route.path, body) for body in bodies]

    words = [route.words(answer, Code.INVALID_REQUEST) for answer in answers]
    assert words == [f"{name_of(path)} {words}" for path, (_, words) in WRONG.items()]
    assert bodies_at_the_model(chain) == []


async def test_null_is_absent(route: Route, chain: Chain, client: Client) -> None:
    others = ("tools",) if "chat" in route.reader else ("system", "suffix", "images")
    body = without_field(without_field(full_body(route.reader), ("options",)), ("tools",))
    await client.ask(route.path, body)
    await client.ask(route.path, {**body, **dict.fromkeys(("think", "format", "options", *others))})
    absent, null = bodies_at_the_model(chain)

    assert null == absent


async def test_stream_is_refused_at_the_gateway_where_the_route_does_the_other(
    route: Route, chain: Chain, client: Client
) -> None:
    """At the proxy it is the client's wish; the model server always gets true."""
    whole = route.name == "gateway whole"
    body = full_body(route.reader)
    good, other = [await client.ask(route.path, {**body, "stream": stream}) for stream in (not whole, whole)]

    if route.is_gateway:
        words = route.words(other, Code.INVALID_REQUEST)
        assert words == f"stream must be {'false' if whole else 'true'} on this route"
    assert good.status == 404  # nobody has the model m
    assert [body["stream"] for body in bodies_at_the_model(chain)] == [True] * (1 if route.is_gateway else 2)


# --- bodies that are none, too long or too deep


async def test_a_body_that_is_no_object_is_refused(route: Route, chain: Chain, client: Client) -> None:
    """M14."""
    for raw in (b"", b"[]", b"{", '{"a":1}'.encode("utf-16")):
        assert "JSON object" in route.words(await posted(client, route, raw), Code.INVALID_REQUEST)

    assert bodies_at_the_model(chain) == []


async def posted(client: Client, route: Route, raw: bytes) -> Any:
    """Send bytes as a JSON body and return the answer."""
    port = int(client.url.rpartition(":")[2])
    head = f"POST {route.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return parsed(await raw_exchange("127.0.0.1", port, f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw))


async def test_a_body_may_be_160_levels_deep(route: Route, chain: Chain, client: Client) -> None:
    """M8: in a field that takes any schema; the body itself is the first level."""
    schema: Any = {"type": "object"}
    for _ in range(160 - 2):
        schema = {"not": schema}
    deep = await client.ask(route.path, {**full_body(route.reader), "format": schema})
    deeper = await client.ask(route.path, {**full_body(route.reader), "format": {"not": schema}})

    assert deep.status == 404  # nobody has the model m
    assert "160 levels" in route.words(deeper, Code.INVALID_REQUEST)
    assert len(bodies_at_the_model(chain)) == 1


def of_size(route: Route, size: int) -> bytes:
    """Return a good body of exactly so many bytes."""
    text = "prompt" if "generate" in route.name else "messages"
    body = full_body(route.reader) | {"options": {}}
    value = "x" if text == "prompt" else [{"role": "user", "content": "x"}]
    raw = json.dumps({**body, "tools": [], text: value} if text == "messages" else {**body, text: value})
    assert raw.count('"x"') == 1
    return raw.replace('"x"', f'"{"x" * (1 + size - len(raw))}"').encode()


@pytest.mark.parametrize("framing", ["length", "chunks"])
async def test_one_byte_over_the_limit_is_too_much(framing: str, route: Route, chain: Chain, client: Client) -> None:
    limit_bytes = GATEWAY_BODY_BYTES if route.is_gateway else PROXY_BODY_BYTES
    exact, over = of_size(route, limit_bytes), of_size(route, limit_bytes + 1)
    assert (len(exact), len(over)) == (limit_bytes, limit_bytes + 1)
    taken = await sent(client, route, exact, framing)
    refused = await sent(client, route, over, framing)

    assert taken.status == 404  # nobody has the model m
    assert str(limit_bytes) in route.words(refused, Code.PAYLOAD_TOO_LARGE)
    assert len(bodies_at_the_model(chain)) == 1


async def sent(client: Client, route: Route, raw: bytes, framing: str) -> Any:
    """Send a long body, announced or in chunks, and return the answer."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), 1 << 20):
            yield raw[start : start + (1 << 20)]

    data = io.BytesIO(raw) if framing == "length" else chunks()
    headers = {"Content-Type": "application/json"}
    async with client.session.post(client.url + route.path, data=data, headers=headers) as response:
        return Answered(response, await response.read())


class Answered:
    """An answer to bytes: what a refusal is checked by."""

    def __init__(self, response: aiohttp.ClientResponse, body: bytes) -> None:
        self.status, self.headers, self.body = response.status, response.headers, body


# --- pictures


def with_pictures(route: Route, pictures: list[str]) -> dict[str, Any]:
    body = full_body(route.reader)
    if "generate" in route.name:
        return {**body, "images": pictures}
    return {**body, "messages": [{"role": "user", "content": "see", "images": pictures}]}


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_what_is_no_picture_is_refused_and_so_are_more_than_sixteen(
    route: Route, chain: Chain, client: Client
) -> None:
    """S7, T6: a URL would make somebody fetch it."""
    url = await client.ask(route.path, with_pictures(route, [PNG, "http://169.254.169.254/latest/meta-data/cat.png"]))
    many = await client.ask(route.path, with_pictures(route, [PNG] * 17))

    assert "images[1] must be the plain base64" in route.words(url, Code.INVALID_REQUEST)
    assert "images must have at most 16" in route.words(many, Code.INVALID_REQUEST)
    assert bodies_at_the_model(chain) == []


async def test_a_picture_of_50_mebibytes_is_too_much_and_costs_no_memory(
    route: Route, chain: Chain, client: Client
) -> None:
    """S7: it is refused by its announcement."""
    server = route.server(chain)
    picture = base64_of(b"\x89PNG\r\n\x1a\n") + "A" * (50 << 20)
    raw = json.dumps(with_pictures(route, [picture])).encode()
    before = server.resident_bytes()
    answer = await sent(client, route, raw, "length")

    route.words(answer, Code.PAYLOAD_TOO_LARGE)
    assert server.resident_bytes() - before < DECODED_BYTES
    assert bodies_at_the_model(chain) == []


# --- every field, strange but valid


NUMBERS: Final = {
    **dict.fromkeys(("temperature", "top_p", "min_p", "typical_p"), 0.7),
    **dict.fromkeys(("repeat_penalty", "presence_penalty", "frequency_penalty"), -1.5),
    "top_k": 40,
    "num_predict": 7,
    "repeat_last_n": -1,
    "seed": 2**63 - 1,
}


def whole_body(reader: str) -> dict[str, Any]:
    """Return a body with every field that goes on to the model, and strange text wherever text may stand."""
    shared = {
        "model": "m" + STRANGE,
        "think": "low",
        "format": {"type": "object", "title": STRANGE, "properties": {STRANGE: {"type": "string"}}},
        "options": {**NUMBERS, "stop": [STRANGE]},
    }
    if "generate" in reader:
        return {**shared, "prompt": STRANGE, "system": STRANGE, "suffix": STRANGE, "images": [PNG]}
    call = {"id": STRANGE, "function": {"name": STRANGE, "arguments": {STRANGE: [STRANGE]}, "index": 0}}
    said = {"role": "assistant", "content": STRANGE, "thinking": STRANGE, "tool_calls": [call]}
    told = {"role": "tool", "content": STRANGE, "tool_name": STRANGE, "tool_call_id": STRANGE}
    tool = {"name": STRANGE, "description": STRANGE, "parameters": {"type": "object", STRANGE: STRANGE}}
    return {
        **shared,
        "messages": [{"role": "user", "content": STRANGE, "images": [PNG]}, said, told],
        "tools": [{"type": "function", "function": tool}],
    }


async def test_every_field_reaches_the_model_as_it_came_however_strange_its_text(
    route: Route, chain: Chain, client: Client
) -> None:
    body = whole_body(route.reader)
    answer = await client.ask(route.path, body)
    (arrived,) = bodies_at_the_model(chain)

    assert answer.status in {400, 404}  # nobody has a model of that name
    assert {**arrived, "stream": None} == {**body, "stream": None}


async def test_strange_text_as_a_message_and_a_system_reaches_the_model(chain: Chain) -> None:
    chain.forget()
    async with Client(chain.gateway.url) as client:
        answers = await asyncio.gather(
            client.chat("sim:tokens=3", STRANGE, system=STRANGE),
            client.ask("/api/chat", {"model": "sim:tokens=3", "message": STRANGE, "system": STRANGE}),
        )

    assert {answer.status for answer in answers} == {200}
    assert [body["messages"] for body in bodies_at_the_model(chain)] == [
        [{"role": "system", "content": STRANGE}, {"role": "user", "content": STRANGE}]
    ] * 2
