"""Keys at real servers: who may ask what (S1, S13, T7 and T8 of docs/faults.md), and which models."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.guard.scopes import ANY_KEY, Scope
from gateway.routes.access import ACCESS
from tests.behaviour.connections import calls_of, told
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer, id_of
from tests.behaviour.script import scripted
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

PAGE: Final = "http://localhost:3000"
STREAM: Final = "abcd.UH4M3T7NBM4F75SSD3CGRRGIXU"
SAID: Final = {"messages": [{"role": "user", "content": "hi"}]}
UI_SAID: Final = [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}]
MODEL: Final = scripted(tokens=2, prefill=0).name
BODIES: Final[dict[str, dict[str, Any]]] = {
    "/api/chat/stream": {"model": MODEL, **SAID},
    "/api/generate/stream": {"model": MODEL, "prompt": "hi"},
    "/api/chat": {"model": MODEL, **SAID},
    "/api/chat/stream/{id}/cancel": {},
    "/api/chat/stream/{id}/tools/{call_id}": {"approve": True},
    "/ollama/api/chat": {"model": MODEL, **SAID},
    "/ollama/api/generate": {"model": MODEL, "prompt": "hi"},
    "/ollama/api/embed": {"model": MODEL, "input": "hi"},
    "/ollama/api/embeddings": {"model": MODEL, "prompt": "hi"},
    "/ollama/api/show": {"model": MODEL},
    "/v1/chat/completions": {"model": MODEL, **SAID},
    "/v1/responses": {"model": MODEL, "input": "hi"},
    "/v1/messages": {"model": MODEL, "max_tokens": 5, **SAID},
    "/v1/messages/count_tokens": {"model": MODEL, **SAID},
    "/api/ui/chat": {"id": "a-chat-of-the-page", "model": MODEL, "messages": UI_SAID},
    "/api/ui/chat/{id}/stop": {},
}
"""Of the routes that are posted to."""
GUARDED: Final = [path for path, scope in ACCESS.items() if scope is not None]
ESTIMATES: Final = {"/v1/messages/count_tokens"}
"""It asks no model."""
POLLED: Final = {"/api/version", "/api/tags", "/api/ps"}
OPEN: Final = ["/livez", "/readyz", "/health", "/ollama/"]


@dataclass
class Guarded:
    """A chain whose gateway asks for keys, and the file that they stand in."""

    chain: Chain
    keys: KeysOnDisk

    @property
    def reads(self) -> list[dict[str, Any]]:
        """The lines of the gateway's having read them."""
        return self.chain.gateway.events("keys.read")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    keys = KeysOnDisk(tmp_path_factory.mktemp("keys"))
    of_the_gate = bearer(keys.add("the gate"))
    with (
        running_chain(
            simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"},
            gateway={**keys.settings, "CORS_ORIGINS": PAGE, "TRUSTED_EDGES": "127.0.0.1"},
            log_level="debug",
        ) as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES, headers=of_the_gate),
    ):
        yield Guarded(chain, keys)


@pytest.fixture
async def client(guarded: Guarded) -> AsyncIterator[Client]:
    async with Client(guarded.chain.gateway.url) as client:
        yield client


async def asked(client: Client, path: str, headers: dict[str, str]) -> Answer:
    address = path.replace("{id}", STREAM).replace("{call_id}", "call_1")
    if path in BODIES:
        return await client.ask(address, BODIES[path], headers)
    return await client.get(address, headers)


async def added(guarded: Guarded, name: str = "Ada", **fields: str) -> str:
    """Add a key to the file, and return it once the gateway has read it."""
    before = len(guarded.reads)
    key = guarded.keys.add(name, **fields)
    await soon(lambda: guarded.keys.are_read(guarded.chain.gateway, before), "the gateway has read its keys")
    return key


def elsewhere(number: int) -> dict[str, str]:
    """Return the header by which an edge names another client, of whom no wrong key is remembered."""
    return {"X-Forwarded-For": f"203.0.113.{number}"}


def without_id(answer: Answer) -> dict[str, Any]:
    if not answer.headers["Content-Type"].startswith("application/json"):  # AI SDK's: our sentence alone
        return {"status": answer.status, "page": answer.body.decode()}
    page = json.loads(answer.body)
    for part in (page, page["error"]):  # in other makers' shapes it stands elsewhere, or in the headers alone
        if isinstance(part, dict):
            part.pop("request_id", None)
    return {"status": answer.status, "page": page}


def reached(guarded: Guarded) -> list[str]:
    """Return what was asked of the model server, but for what is asked on nobody's behalf."""
    return [call["path"] for call in guarded.chain.witness()["calls"] if call["path"] not in POLLED]


def test_every_route_is_in_the_table_of_who_may_use_it(guarded: Guarded) -> None:
    """A gateway with another route does not start; what is posted to has a body here."""
    assert guarded.chain.gateway.running
    assert set(BODIES) <= set(GUARDED)


@pytest.mark.parametrize("path", GUARDED)
async def test_who_brings_no_good_key_is_refused_alike_and_nothing_reaches_the_model(
    guarded: Guarded, client: Client, path: str
) -> None:
    guarded.chain.forget()
    revoked = guarded.keys.add()
    expired = guarded.keys.add(not_after="2020-01-01T00:00:00Z")
    early = guarded.keys.add(not_before="2099-01-01T00:00:00Z")
    guarded.keys.revoke(revoked)
    good = await added(guarded)  # what was written before is read, too
    bad = [{}, {"X-Api-Key": revoked}, *map(bearer, (revoked, expired, early, good[:-1] + "!", "", "x" * 5000))]

    answers = [await asked(client, path, {**headers, **elsewhere(GUARDED.index(path))}) for headers in bad]

    assert {json.dumps(without_id(answer)) for answer in answers} == {json.dumps(without_id(answers[0]))}
    assert answers[0].status == 401
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    assert reached(guarded) == []


@pytest.mark.parametrize("path", GUARDED)
async def test_a_key_opens_the_routes_of_its_scopes_and_no_others(guarded: Guarded, client: Client, path: str) -> None:
    """Who lacks the scope is refused before anybody is asked."""
    keys = {scope: guarded.keys.add(scopes=f'["{scope}"]') for scope in Scope}
    await added(guarded)  # what was written before is read, too
    opening = set(Scope) if ACCESS[path] == ANY_KEY else {ACCESS[path]}
    guarded.chain.forget()

    refused = [await asked(client, path, bearer(keys[scope])) for scope in keys.keys() - opening]
    seen = reached(guarded)
    let_in = [await asked(client, path, bearer(keys[scope])) for scope in keys.keys() & opening]

    assert ({answer.status for answer in refused} <= {403}, seen) == (True, [])
    assert 403 not in {answer.status for answer in let_in}


@pytest.mark.parametrize("path", OPEN)
async def test_probes_and_what_says_that_something_is_here_need_no_key(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 200


async def test_x_api_key_is_as_good_as_a_bearer_and_both_are_one_too_many(guarded: Guarded, client: Client) -> None:
    key = await added(guarded)

    one = await client.get("/api/models", {"X-Api-Key": key})
    two = await client.get("/api/models", {"X-Api-Key": key, **bearer(key)})

    assert (one.status, two.status) == (200, 400)


@pytest.mark.parametrize("hostile", ["a\x00b", "ä", "' OR 1=1 --", "k" * 7000, "Basic dTpw", "sk_live_" + "a" * 8])
async def test_a_hostile_key_is_a_wrong_one(client: Client, hostile: str) -> None:
    """400 is the HTTP server's own word for a NUL."""
    try:
        answer = await client.get("/api/models", {**bearer(hostile), **elsewhere(200)})
    except ValueError:  # the client itself does not send it
        return

    assert answer.status in {400, 401}


async def test_a_page_can_read_why_it_was_refused(client: Client) -> None:
    answer = await client.get("/api/models", {"Origin": PAGE})

    assert answer.status == 401
    assert answer.headers["Access-Control-Allow-Origin"] == PAGE


async def test_the_21st_wrong_key_of_an_address_waits_and_a_good_one_does_not(guarded: Guarded, tmp_path: Path) -> None:
    keys = KeysOnDisk(tmp_path)
    key = keys.add()
    server = guarded.chain.another_gateway(**keys.settings)
    async with Client(server.url) as guessing:
        wrong = [await guessing.get("/api/models", bearer(f"guess {number}")) for number in range(30)]
        good = await guessing.get("/api/models", bearer(key))
    server.stop()

    assert [answer.status for answer in wrong] == [401] * 20 + [429] * 10
    assert {int(answer.headers["Retry-After"]) <= 60 for answer in wrong[20:]} == {True}
    assert good.status == 200


# --- models


async def test_a_key_sees_and_asks_the_models_of_its_list_alone(guarded: Guarded, client: Client) -> None:
    listed = json.loads((await client.get("/api/models", bearer(await added(guarded)))).body)["models"]
    allowed = [one["name"] for one in listed if "completion" in (one["capabilities"] or [])][-1]
    key = await added(guarded, models=json.dumps([allowed]))

    shown = json.loads((await client.get("/api/models", bearer(key))).body)["models"]
    of_ollama = json.loads((await client.get("/ollama/api/tags", bearer(key))).body)["models"]
    unnamed = await client.ask("/api/chat/stream", SAID, bearer(key))

    assert [(one["name"], one["default"]) for one in shown] == [(allowed, True)]
    assert [one["name"] for one in of_ollama] == [allowed]
    assert unnamed.data[0]["model"] == allowed


@pytest.mark.parametrize("path", [path for path in BODIES if "model" in BODIES[path] and path not in ESTIMATES])
async def test_another_model_is_refused_before_anybody_is_asked(guarded: Guarded, client: Client, path: str) -> None:
    key = await added(guarded, models='["another"]')
    before = len(calls_of(guarded.chain, MODEL))

    answer = await asked(client, path, bearer(key))

    assert answer.status == 403
    assert b"model_not_allowed" in answer.body or answer.headers.get("Sluice-Error-Code") == "model_not_allowed"
    assert len(calls_of(guarded.chain, MODEL)) == before


async def test_a_key_s_cap_of_output_is_sent_to_the_model_server(guarded: Guarded, client: Client) -> None:
    key = await added(guarded, max_output_tokens="7")
    model = scripted(tokens=3, prefill=0).name

    for asked_for in (None, 5, 100):
        fields = {} if asked_for is None else {"options": {"num_predict": asked_for}}
        await client.ask("/api/chat/stream", {"model": model, **SAID, **fields}, bearer(key))

    assert [call["body"]["options"]["num_predict"] for call in calls_of(guarded.chain, model)] == [7, 5, 7]


# --- what is told


async def test_the_gateway_s_line_names_the_key_s_id_and_nothing_else_of_it(guarded: Guarded, client: Client) -> None:
    key = await added(guarded, "canary-name")
    headers = {**bearer(key), "X-Request-Id": "of-the-canary"}
    await client.ask("/api/chat/stream", {"model": MODEL, **SAID}, headers)
    await told(guarded.chain.gateway, "of-the-canary")

    line = next(one for one in guarded.chain.gateway.events("stream.finished") if one["request_id"] == "of-the-canary")
    written = b"".join(raw for server in guarded.chain.servers for raw in server.raw)
    shown = str(guarded.chain.gateway.metrics()) + str(guarded.chain.proxy.metrics())

    assert line["key_id"] == id_of(key)
    for secret in (key, key.split("_")[3], "canary-name"):
        assert secret.encode() not in written
        assert secret not in shown


@pytest.mark.parametrize(
    ("settings", "told_line"),
    [
        (
            {"PEPPER_FILE": ""},
            "SLUICE_GATEWAY_KEYS_FILE, SLUICE_GATEWAY_PEPPER_FILE: set both or neither",
        ),
        (
            {"KEYS_FILE": "/nowhere/keys", "PEPPER_FILE": "/nowhere/pepper"},
            "/nowhere/pepper: No such file or directory",
        ),
        ({"TRUSTED_EDGES": "10.0.0.1/8"}, "SLUICE_GATEWAY_TRUSTED_EDGES: "),
    ],
)
def test_a_gateway_whose_keys_cannot_be_read_does_not_start_and_says_why(
    guarded: Guarded, settings: dict[str, str], told_line: str
) -> None:
    with pytest.raises(AssertionError, match="ended") as ended:
        guarded.chain.another_gateway(**settings)

    assert told_line in str(ended.value)
    assert "Traceback" not in str(ended.value)


@pytest.mark.parametrize(("listen", "warned"), [("0.0.0.0:0", 1), ("127.0.0.1:0", 0)])
def test_a_gateway_without_keys_that_others_can_reach_says_so_once(guarded: Guarded, listen: str, warned: int) -> None:
    server: Server = guarded.chain.another_gateway(LISTEN=listen, KEYS_FILE="", PEPPER_FILE="")
    lines, health = server.events("keys.none"), json.loads(server.get("/health")[1])
    with_keys = json.loads(guarded.chain.gateway.get("/health")[1])
    server.stop()

    assert len(lines) == warned
    assert (health["keys"], with_keys["keys"]) == ("none", "file")
