"""Whose a stream is (T9 of docs/faults.md), and what becomes of it when its key is revoked (L9)."""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import pytest

from services.runtime.tasks import Tasks
from tests.behaviour.connections import calls_of, told
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

REVOKED_WITHIN_S: Final = 5.0
LASTS_S: Final = 5.0  # a key; a gateway looks at its file each second
SAID: Final = {"messages": [{"role": "user", "content": "hi"}]}
SLOW: Final = scripted(tokens=2000, rate=50, prefill=0).name


class House:
    """Ada with two keys and Bob with one, at a gateway that has read them."""

    def __init__(self, chain: Chain, keys: KeysOnDisk, *, ada: str, ada_too: str, bob: str) -> None:
        self.chain, self.keys = chain, keys
        self.tasks = Tasks()
        self.ada, self.ada_too, self.bob = bearer(ada), bearer(ada_too), bearer(bob)

    async def given(self, **fields: str) -> str:
        """Give somebody a key, and return it once the gateway has read it."""
        before = self.reads
        key = self.keys.add("Eve", **fields)
        await soon(partial(self.has_read, before), "the gateway has read its keys")
        return key

    def has_read(self, since: int) -> bool:
        return self.keys.are_read(self.chain.gateway, since)

    def told_broken(self, times: int) -> bool:
        return len(self.chain.gateway.events("keys.not_read")) >= times

    @property
    def reads(self) -> int:
        return len(self.chain.gateway.events("keys.read"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    keys = KeysOnDisk(tmp_path_factory.mktemp("keys"))
    ada, ada_too, bob = keys.add("Ada"), keys.add("Ada"), keys.add("Bob", scopes='["chat", "models", "streams"]')
    with (
        running_chain(simulator={"NUM_PARALLEL": "64"}, gateway=keys.settings, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES, headers=bearer(ada)),
    ):
        yield House(chain, keys, ada=ada, ada_too=ada_too, bob=bob)


async def test_another_s_stream_is_as_good_as_none_and_one_s_own_is_there_by_each_key(house: House) -> None:
    async with (
        Client(house.chain.gateway.url) as client,
        client.open("POST", "/api/chat/stream", {"model": SLOW, **SAID}, house.ada) as reading,
    ):
        path = f"/api/chat/stream/{(await reading.until_tokens(3)).stream_id}"
        as_json = {"Accept": "application/json"}
        before = [call["end"] for call in calls_of(house.chain, SLOW)]
        foreign = [
            await client.get(f"{path}?after=0", house.bob),
            await client.get(path, {**house.bob, **as_json}),
            await client.ask(f"{path}/cancel", {}, house.bob),
        ]
        after = [call["end"] for call in calls_of(house.chain, SLOW)]
        own = await client.get(path, {**house.ada_too, **as_json})
        stopped = await client.ask(f"{path}/cancel", {}, house.ada_too)
        end = await reading.until_end()

    assert [answer.status for answer in foreign] == [410] * 3
    assert after == before  # neither asked for anew nor stopped
    assert {b"Hello" in answer.body or b"token" in answer.body for answer in foreign} == {False}
    assert (own.status, json.loads(own.body)["stream_id"]) == (200, end.stream_id)
    assert (stopped.status, end.reason) == (202, "cancelled")


async def test_another_gateway_knows_whose_a_stream_is(house: House) -> None:
    other = house.chain.another_gateway()
    async with (
        Client(house.chain.gateway.url) as client,
        Client(other.url) as elsewhere,
        client.open("POST", "/api/chat/stream", {"model": SLOW, **SAID}, house.ada) as reading,
    ):
        path = f"/api/chat/stream/{(await reading.until_tokens(1)).stream_id}"
        found = await elsewhere.get(path, {**house.ada_too, "Accept": "application/json"})
        hidden = await elsewhere.get(path, {**house.bob, "Accept": "application/json"})
        await client.ask(f"{path}/cancel", {}, house.ada)
    other.stop()

    assert (found.status, hidden.status) == (200, 410)


async def test_a_list_shows_the_ids_of_one_s_own_streams_alone(house: House) -> None:
    async with (
        Client(house.chain.gateway.url) as client,
        client.open("POST", "/api/chat/stream", {"model": SLOW, **SAID}, house.ada) as adas,
        client.open("POST", "/api/chat/stream", {"model": SLOW, **SAID}, house.bob) as bobs,
    ):
        ids = [(await reading.until_tokens(1)).stream_id for reading in (adas, bobs)]
        listed = json.loads((await client.get("/api/chat/streams", house.bob)).body)["streams"]
        await client.ask(f"/api/chat/stream/{ids[0]}/cancel", {}, house.ada)
        await client.ask(f"/api/chat/stream/{ids[1]}/cancel", {}, house.bob)

    assert [one["id"] for one in listed] == ids[1:]


async def test_two_principals_with_one_idempotency_key_get_two_answers_and_two_keys_of_one_get_one(
    house: House,
) -> None:
    model = scripted(tokens=2, prefill=0).name
    repeat = {"Idempotency-Key": secrets.token_urlsafe(24)}
    async with Client(house.chain.gateway.url) as client:
        ids = [
            (await client.ask("/api/chat/stream", {"model": model, **SAID}, {**who, **repeat})).stream_id
            for who in (house.ada, house.ada_too, house.bob)
        ]

    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)
    assert len(calls_of(house.chain, model)) == 2


TOLD: Final[dict[str, Callable[[Answer], Any]]] = {
    "/api/chat/stream": lambda answer: answer.end,
    "/api/chat": lambda answer: json.loads(answer.body)["error"] if answer.status == 401 else None,
    "/ollama/api/chat": lambda answer: json.loads(answer.body.rstrip(b"\n").rpartition(b"\n")[2]),
}
"""How each route tells of an end that failed."""


@pytest.mark.parametrize("path", TOLD)
async def test_an_answer_whose_key_is_revoked_ends_and_its_model_stops(house: House, path: str) -> None:
    key = await house.given()
    request_id, model = f"revoked{path.replace('/', '-')}", scripted(tokens=2001, rate=50, prefill=0).name
    before = len(calls_of(house.chain, model))
    async with Client(house.chain.gateway.url) as client:
        headers = {**bearer(key), "X-Request-Id": request_id}
        asking = house.tasks.spawn(client.ask(path, {"model": model, **SAID}, headers), "asks")
        await soon(lambda: len(calls_of(house.chain, model)) > before, "the model is asked")
        house.keys.revoke(key)
        answer = await asyncio.wait_for(asking, REVOKED_WITHIN_S)

    assert "not good any more" in str(TOLD[path](answer))
    assert await told(house.chain.gateway, request_id) == ["unauthorized"]
    assert await told(house.chain.proxy, request_id) == ["cancelled"]


async def test_an_answer_that_nobody_reads_ends_when_its_key_is_revoked(house: House) -> None:
    key, model = await house.given(), scripted(tokens=2002, rate=50, prefill=0).name
    asked = {"model": model, **SAID, "on_disconnect": "continue"}
    async with (
        Client(house.chain.gateway.url) as client,
        client.open("POST", "/api/chat/stream", asked, {**bearer(key), "X-Request-Id": "left-and-revoked"}) as reading,
    ):
        await reading.until_tokens(1)
        reading.leave()
    await told(house.chain.gateway, "left-and-revoked")
    house.keys.revoke(key)

    assert await told(house.chain.proxy, "left-and-revoked", REVOKED_WITHIN_S) == ["cancelled"]


async def test_an_answer_whose_key_s_time_is_up_ends_as_if_it_were_revoked(house: House) -> None:
    until = datetime.now(UTC) + timedelta(seconds=LASTS_S)
    key = await house.given(not_after=until.isoformat(timespec="milliseconds"))
    async with Client(house.chain.gateway.url) as client:
        answer = await asyncio.wait_for(
            client.ask("/api/chat/stream", {"model": SLOW, **SAID}, bearer(key)), LASTS_S + REVOKED_WITHIN_S
        )

    assert answer.reason == "unauthorized"
    assert datetime.now(UTC) >= until
    assert answer.end is not None
    assert "id" not in answer.end


async def test_good_keys_are_never_refused_while_the_file_is_turned_over(house: House) -> None:
    statuses: list[int] = []
    turned = asyncio.Event()

    async def ask_again_and_again(client: Client) -> None:
        while not turned.is_set():
            statuses.append((await client.get("/api/models", house.bob)).status)

    async with Client(house.chain.gateway.url) as client:
        asking = house.tasks.spawn(ask_again_and_again(client), "asks again and again")
        for turn in range(2):
            key = await house.given()
            house.keys.breaks()
            await soon(partial(house.told_broken, turn + 1), "the broken file is told of")
            statuses.append((await client.get("/api/models", bearer(key))).status)
            reads = house.reads
            house.keys.revoke(key)
            await soon(partial(house.has_read, reads), "the mended file is read")
            assert (await client.get("/api/models", bearer(key))).status == 401
        turned.set()
        await asking

    assert set(statuses) == {200}
    assert house.chain.gateway.metrics()["llm_keys_reload_failed_total"] >= 2
