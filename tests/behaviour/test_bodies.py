"""The body table over HTTP: a row a field and route; and what no table of fields can say. Cases S7, M8, M14.

The fields, their values and our words are those of tests/wire/test_bodies.py, where they are read without a server.
"""

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Final

import aiohttp
import pytest

from services.wire.events import Code
from tests.behaviour.body_routes import BODY_ROUTES, Route, bodies_at_the_model
from tests.behaviour.gate import common_gate
from tests.behaviour.refusals import parsed
from tests.chain import Chain, running_chain
from tests.reader import Client, raw_exchange
from tests.wire.requests import PNG, field_of, full_body, name_of, with_field, without_field
from tests.wire.test_bodies import ELEMENTS, FIELDS, Field, around, may_be_absent

GATEWAY_BODY_BYTES: Final = 1 << 20  # small beside the growth that the gate allows; its default is 8 MiB
PROXY_BODY_BYTES: Final = 32 << 20
DECODED_BYTES: Final = 16 << 20  # S7: most memory that pictures may take
CAPPED: Final = {("options",), ("options", "num_predict")}  # the gateway always sends a num_predict of its own
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


def rows(fields: Iterable[Field]) -> list[Any]:
    """Return a row for each field and each route that takes it."""
    return [
        pytest.param(field, route, id=f"{name_of(field.path)} {route.name}")
        for field in fields
        for route in BODY_ROUTES
        if route.reader in field.routes and not (field.path == ("stream",) and route.name == "gateway whole")
    ]


@pytest.mark.parametrize(("field", "route"), rows(field for field in FIELDS if field.taken))
async def test_a_value_at_or_under_its_limit_reaches_the_model_as_it_came(
    field: Field, route: Route, chain: Chain, client: Client
) -> None:
    for value in field.taken:
        await client.ask(route.path, with_field(full_body(route.reader), field.path, value))
    sent = bodies_at_the_model(chain)

    assert len(sent) == len(field.taken)
    if not (route.is_gateway and field.path in CAPPED):
        kept = [(body, value) for body, value in zip(sent, field.taken, strict=True) if body is not None]
        assert [field_of(body, field.path) for body, _ in kept] == [value for _, value in kept]


@pytest.mark.parametrize(("field", "route"), rows(FIELDS + ELEMENTS))
async def test_a_value_over_its_limit_or_of_another_type_is_a_400_that_names_the_field(
    field: Field, route: Route, chain: Chain, client: Client
) -> None:
    expected = [(value, words) for words, values in field.refused.items() for value in values]
    answers = [
        await client.ask(route.path, with_field(around(field, route.reader), field.path, value))
        for value, _ in expected
    ]

    words = [route.words(answer, Code.INVALID_REQUEST) for answer in answers]
    assert words == [f"{name_of(field.path)} {words}" for _, words in expected]
    assert bodies_at_the_model(chain) == []


@pytest.mark.parametrize(("field", "route"), rows(filter(may_be_absent, FIELDS)))
async def test_null_is_absent(field: Field, route: Route, chain: Chain, client: Client) -> None:
    await client.ask(route.path, without_field(full_body(route.reader), field.path))
    await client.ask(route.path, with_field(full_body(route.reader), field.path, None))
    absent, null = bodies_at_the_model(chain)

    assert null == absent


@pytest.mark.parametrize(("field", "route"), rows(field for field in FIELDS if field.required))
async def test_a_required_field_is_missed_whether_absent_or_null(
    field: Field, route: Route, chain: Chain, client: Client
) -> None:
    bodies = without_field(full_body(route.reader), field.path), with_field(full_body(route.reader), field.path, None)
    answers = [await client.ask(route.path, body) for body in bodies]

    assert [route.words(answer, Code.INVALID_REQUEST) for answer in answers] == [
        f"{name_of(field.path)} is required"
    ] * 2
    assert bodies_at_the_model(chain) == []


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


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"{}{}", '{"a":1}'.encode("utf-16")], ids=ascii)
async def test_a_body_that_is_no_object_is_refused(raw: bytes, route: Route, chain: Chain, client: Client) -> None:
    """M14."""
    answer = await posted(client, route, raw)

    assert "JSON object" in route.words(answer, Code.INVALID_REQUEST)
    assert bodies_at_the_model(chain) == []


async def posted(client: Client, route: Route, raw: bytes) -> Any:
    """Send bytes as a JSON body and return the answer."""
    port = int(client.url.rpartition(":")[2])
    head = f"POST {route.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return parsed(await raw_exchange("127.0.0.1", port, f"{head}Content-Length: {len(raw)}\r\n\r\n".encode() + raw))


@pytest.mark.parametrize(("levels", "passes"), [(160, True), (161, False)])
async def test_a_body_may_be_160_levels_deep(
    levels: int, passes: bool, route: Route, chain: Chain, client: Client
) -> None:
    """M8: in a field that takes any schema; the body itself is the first level."""
    schema: Any = {"type": "object"}
    for _ in range(levels - 2):
        schema = {"not": schema}
    answer = await client.ask(route.path, {**full_body(route.reader), "format": schema})

    assert len(bodies_at_the_model(chain)) == passes
    if not passes:
        assert "160 levels" in route.words(answer, Code.INVALID_REQUEST)


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


SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
NO_PICTURES: Final = {
    "a URL": "http://169.254.169.254/latest/meta-data/cat.png",
    "a data URL": f"data:image/png;base64,{PNG}",
    "a file": "/etc/passwd",
    "a file's URL": "file:///etc/passwd",
    "an SVG": base64_of(SVG),
    "an SVG as it is": SVG.decode(),
    "wrong magic": base64_of(b"MZ\x90\0 and so on"),
    "a PDF": base64_of(b"%PDF-1.7 and so on"),
    "a picture cut short in its base64": PNG[:-3],
    "a picture cut short in its magic": base64_of(b"\x89PNG\r"),
    "nothing": "",
}


@pytest.mark.parametrize("what", NO_PICTURES)
async def test_what_is_no_picture_is_refused(what: str, route: Route, chain: Chain, client: Client) -> None:
    """S7, T6: a URL would make somebody fetch it."""
    answer = await client.ask(route.path, with_pictures(route, [PNG, NO_PICTURES[what]]))

    assert "images[1] must be the plain base64" in route.words(answer, Code.INVALID_REQUEST)
    assert bodies_at_the_model(chain) == []


@pytest.mark.parametrize(("count", "passes"), [(16, True), (17, False), (100, False)])
async def test_sixteen_pictures_are_as_many_as_there_may_be(
    count: int, passes: bool, route: Route, chain: Chain, client: Client
) -> None:
    """S7."""
    answer = await client.ask(route.path, with_pictures(route, [PNG] * count))

    assert len(bodies_at_the_model(chain)) == passes
    if not passes:
        assert "images must have at most 16" in route.words(answer, Code.INVALID_REQUEST)


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


# --- strange, but valid


def strange_body(reader: str) -> dict[str, Any]:
    """Return a body with strange text wherever text may stand."""
    shared = {
        "model": "m" + STRANGE,
        "format": {"type": "object", "title": STRANGE, "properties": {STRANGE: {"type": "string"}}},
        "options": {"stop": [STRANGE]},
    }
    if "generate" in reader:
        return {**shared, "prompt": STRANGE, "system": STRANGE, "suffix": STRANGE}
    call = {"id": STRANGE, "function": {"name": STRANGE, "arguments": {STRANGE: [STRANGE]}}}
    said = {"role": "assistant", "content": STRANGE, "thinking": STRANGE, "tool_calls": [call]}
    told = {"role": "tool", "content": STRANGE, "tool_name": STRANGE, "tool_call_id": STRANGE}
    tool = {"name": STRANGE, "description": STRANGE, "parameters": {"type": "object", STRANGE: STRANGE}}
    return {
        **shared,
        "messages": [{"role": "user", "content": STRANGE}, said, told],
        "tools": [{"type": "function", "function": tool}],
    }


async def test_strange_but_valid_text_reaches_the_model_as_it_came_in_every_field(
    route: Route, chain: Chain, client: Client
) -> None:
    body = strange_body(route.reader)
    answer = await client.ask(route.path, body)
    (arrived,) = bodies_at_the_model(chain)

    assert answer.status in {400, 404}  # nobody has a model of that name
    assert {name: arrived[name] for name in body if name != "options"} == {
        name: value for name, value in body.items() if name != "options"
    }
    assert arrived["options"]["stop"] == [STRANGE]


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
