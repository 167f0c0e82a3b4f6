"""Conversations at a real gateway with keys and a SQLite file: whose they are, and what is refused.

gateway/routes/conversations.py and gateway/routes/conversation_bodies.py, as a client meets them.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.store.ids import new_conversation_id
from gateway.store.limits import MOST_SYSTEM, MOST_TITLE
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer
from tests.chain import Chain, Server, running_chain
from tests.reader import Answer, Client, raw_exchange

HERE: Final = "/api/conversations"
NO_MESSAGE: Final = "ms_" + "A" * 26
SCOPES: Final = '["chat", "models", "conversations"]'


@dataclass
class People:
    """A chain whose gateway keeps conversations, and three who hold a key."""

    chain: Chain
    file: Path
    ada: dict[str, str]
    grace: dict[str, str]
    without_scope: dict[str, str]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    folder = tmp_path_factory.mktemp("conversations")
    keys = KeysOnDisk(folder)
    ada, grace = (bearer(keys.add(name, scopes=SCOPES)) for name in ("Ada", "Grace"))
    other = bearer(keys.add("Ada"))
    file = folder / "conversations.db"
    with running_chain(gateway={**keys.settings, "DATABASE": f"sqlite:///{file}"}) as chain:
        yield People(chain, file, ada, grace, other)


@pytest.fixture
async def client(people: People) -> AsyncIterator[Client]:
    async with Client(people.chain.gateway.url) as one:
        yield one


async def asked(
    client: Client, method: str, path: str, key: dict[str, str], body: object = None
) -> tuple[int, dict[str, Any]]:
    async with client.open(method, path, body, key) as reading:
        answer = await reading.until_end()
    return answer.status, json.loads(answer.body or b"{}")


async def made(client: Client, key: dict[str, str], **settings: object) -> dict[str, Any]:
    status, kept = await asked(client, "POST", HERE, key, settings)
    assert status == 201
    return kept


async def test_a_conversation_is_made_listed_changed_and_deleted(client: Client, people: People) -> None:
    kept = await made(client, people.ada, system="be brief")
    path = f"{HERE}/{kept['id']}"

    assert (await asked(client, "GET", path, people.ada)) == (200, kept)
    assert kept["id"] in [one["id"] for one in (await asked(client, "GET", HERE, people.ada))[1]["conversations"]]
    changed = await asked(client, "PATCH", path, people.ada, {"title": "ours", "system": None})
    assert (changed[0], changed[1]["title"], changed[1]["named"], changed[1]["system"]) == (200, "ours", True, None)
    found = await asked(client, "GET", f"{HERE}?q=OURS", people.ada)
    assert [one["id"] for one in found[1]["conversations"]] == [kept["id"]]
    assert await asked(client, "GET", f"{path}/messages", people.ada) == (200, {"messages": [], "next": None})
    assert await asked(client, "DELETE", path, people.ada) == (204, {})
    assert (await asked(client, "GET", path, people.ada))[0] == 404


async def test_nobody_can_tell_another_s_conversation_from_one_that_there_is_not(
    client: Client, people: People
) -> None:
    kept = await made(client, people.ada, title="hers alone")
    for method, more, body in (
        ("GET", "", None),
        ("PATCH", "", {"title": "x"}),
        ("DELETE", "", None),
        ("GET", "/messages", None),
    ):
        answers = []
        for name in (kept["id"], new_conversation_id()):
            status, told = await asked(client, method, f"{HERE}/{name}{more}", people.grace, body)
            answers.append((status, told["error"]["code"], told["error"]["message"]))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404
    assert (await asked(client, "GET", f"{HERE}?q=hers", people.grace))[1]["conversations"] == []
    assert (await asked(client, "GET", f"{HERE}/{kept['id']}", people.ada))[1]["title"] == "hers alone"


async def test_a_key_without_the_scope_is_refused(client: Client, people: People) -> None:
    status, told = await asked(client, "GET", HERE, people.without_scope)

    assert (status, told["error"]["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("method", "more", "body", "said"),
    [
        ("POST", "", {"title": "x" * 10_000}, f"title must have at most {MOST_TITLE} characters"),
        ("POST", "", {"title": ""}, "title must not be empty"),
        ("POST", "", {"system": "x" * (MOST_SYSTEM + 1)}, f"system must have at most {MOST_SYSTEM} characters"),
        ("POST", "", {"options": {"num_ctx": 1}}, "unknown field: options.num_ctx"),
        ("POST", "", {"current": "ms_"}, "unknown field: current"),
        ("POST", "", [], "Send one JSON object"),
        ("PATCH", "/{own}", {}, "send one of title"),
        ("PATCH", "/{own}", {"title": None}, "send one of title"),
        ("PATCH", "/{own}", {"current": "x"}, "current must be the id of one of its messages"),
        ("PATCH", "/{own}", {"current": NO_MESSAGE}, "this message is none of this conversation"),
        ("POST", "/import", {"sluice_export": 9}, "this is no export of version 1"),
        ("GET", "/export?after=x", None, "this place is none of this list"),
        ("GET", "?q=" + "x" * 201, None, "q must have at most 200 characters"),
        ("GET", "?before=x", None, "this place is none of this list"),
        ("GET", "/{own}/messages?before=x", None, "before must be the id of one of its messages"),
        ("GET", "/{own}/messages?before=" + NO_MESSAGE, None, "this message is none of this conversation"),
    ],
)
async def test_bad_input_is_told_and_changes_nothing(
    client: Client, people: People, *, method: str, more: str, body: object, said: str
) -> None:
    own = await made(client, people.ada)

    status, told = await asked(client, method, HERE + more.format(own=own["id"]), people.ada, body)

    assert (status, told["error"]["code"]) == (400, "invalid_request")
    assert told["error"]["message"].startswith(said)
    assert (await asked(client, "GET", f"{HERE}/{own['id']}", people.ada)) == (200, own)


@pytest.mark.parametrize("name", ["x", "cv_", "..%2f..", "%00", "cv_" + "A" * 5_000, "'; DROP TABLE conversations"])
async def test_what_is_no_id_of_ours_is_none_of_one_s_conversations(client: Client, people: People, name: str) -> None:
    async with client.open("GET", f"{HERE}/{name}", None, people.ada) as reading:
        answer: Answer = await reading.until_end()

    assert (answer.status, answer.error["code"]) == (404, "not_found")


async def test_a_file_goes_out_and_comes_in_again(client: Client, people: People) -> None:
    kept = await made(client, people.grace, title="to be moved")

    status, piece = await asked(client, "GET", f"{HERE}/export", people.grace)
    assert (status, piece["sluice_export"], piece["next"]) == (200, 1, None)
    assert (await asked(client, "DELETE", f"{HERE}/{kept['id']}", people.grace))[0] == 204
    status, told = await asked(client, "POST", f"{HERE}/import", people.grace, piece)

    assert (status, told["imported"], told["messages"]) == (200, 1, {"imported": 0, "skipped": 0})
    assert (await asked(client, "GET", f"{HERE}/{kept['id']}", people.grace))[1]["title"] == "to be moved"


async def test_a_file_of_100_mb_is_refused_before_it_has_come(people: People) -> None:
    gateway = people.chain.gateway
    head = f"POST {HERE}/import HTTP/1.1\r\nHost: localhost\r\nAuthorization: {people.ada['Authorization']}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100000000\r\nConnection: close\r\n\r\n"

    told = await raw_exchange("127.0.0.1", gateway.port, head.encode())

    assert told.startswith(b"HTTP/1.1 413 ")
    assert b'"payload_too_large"' in told


async def test_health_says_that_conversations_are_kept_and_the_log_has_nothing_of_them(
    client: Client, people: People
) -> None:
    await made(client, people.ada, title="the canary-4711")
    await asked(client, "GET", f"{HERE}?q=canary-4711", people.ada)

    assert json.loads(people.chain.gateway.get("/health")[1])["store"] == "ok"
    assert b"canary" not in b"".join(people.chain.gateway.raw)
    assert people.chain.gateway.metrics()["llm_store_degraded"] == 0


async def test_a_gateway_without_a_database_says_so(people: People) -> None:
    gateway = people.chain.another_gateway(DATABASE="")
    async with Client(gateway.url) as client:
        for method in ("GET", "POST"):
            status, told = await asked(client, method, HERE, people.ada, {} if method == "POST" else None)
            assert (status, told["error"]["code"]) == (404, "not_found")
    assert "store" not in json.loads(gateway.get("/health")[1])


async def test_two_gateways_of_one_machine_share_the_file(client: Client, people: People) -> None:
    other: Server = people.chain.another_gateway()
    kept = await made(client, people.ada, title="shared")

    async with Client(other.url) as there:
        assert await asked(there, "GET", f"{HERE}/{kept['id']}", people.ada) == (200, kept)
