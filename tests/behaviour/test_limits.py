"""How much a key may ask for, at real servers: O3 and O5 of docs/faults.md, tokens of a day, and what was used.

What was used is told by `gateway/routes/usage.py`.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import calls_of, sample, told
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer, id_of
from tests.behaviour.refusals import refused
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client, Reading

SAID: Final = {"messages": [{"role": "user", "content": "hi"}]}
UI_SAID: Final = [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}]
QUICK: Final = scripted(tokens=2, prefill=0).name
UNREAD_WITHIN_S: Final = 15.0  # a look each second, on a busy machine, and half of a grace
LIMITED: Final[dict[str, dict[str, str]]] = {
    "two at once": {"streams": "2"},
    "five at once": {"streams": "5"},
    "one at once": {"streams": "1", "tokens_per_day": "1000"},
    "in two tabs": {},
    "asks again": {"streams": "1", "tokens_per_day": "1000"},
    "stops by id": {"streams": "1", "scopes": '["chat", "streams"]'},
    "stops by chat": {"streams": "1"},
    "two, then one in ten seconds": {"requests_per_minute": "6", "burst": "2"},
    "two requests": {"requests_per_minute": "1", "burst": "2"},
    "a hundred tokens": {"tokens_per_day": "100"},
    "ten tokens": {"tokens_per_day": "10"},
    "greedy": {"requests_per_minute": "60", "burst": "3"},
    "of everybody": {"scopes": '["chat", "admin"]'},
    "bare": {"scopes": '["models"]'},
}
"""What each person's key allows."""


@dataclass
class House:
    """People with keys of every kind, at one gateway."""

    chain: Chain
    keys: dict[str, str]

    def headers(self, name: str) -> dict[str, str]:
        return bearer(self.keys[name])

    def at_once(self, name: str) -> int:
        """How many answers of somebody hold a place."""
        return self._usage(name)["streams"]

    def used(self, name: str) -> int:
        """How many of the day's tokens are booked as used by somebody."""
        return self._usage(name)["tokens_used"]

    def _usage(self, name: str) -> dict[str, int]:
        told: dict[str, int] = json.loads(self.chain.gateway.get("/api/usage", self.headers(name))[1])
        return told


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    on_disk = KeysOnDisk(tmp_path_factory.mktemp("keys"))
    names = [*LIMITED, "the gate", *(f"modest {number}" for number in range(9))]
    keys = {name: on_disk.add(name, **LIMITED.get(name, {})) for name in names}
    with (
        running_chain(
            simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"},
            gateway={**on_disk.settings, "KEY_METRICS": "true", "TIME_ZONE": "Europe/Berlin"},
        ) as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES, headers=bearer(keys["the gate"])),
    ):
        yield House(chain, keys)


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    async with Client(house.chain.gateway.url) as client:
        yield client


async def chat(client: Client, headers: dict[str, str], model: str = QUICK, **options: Any) -> Answer:
    return await client.ask("/api/chat/stream", {"model": model, **SAID, "options": options}, headers)


def limited(answer: Answer, code: Code) -> int:
    """Assert that a limit refused the request, and return after how many seconds to come back."""
    refused(answer, code, retryable=True)
    return int(answer.headers["Retry-After"])


async def usage(client: Client, headers: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((await client.get("/api/usage", headers)).body)
    return told


async def test_of_a_hundred_at_once_five_run_and_the_rest_are_told_to_wait(house: House) -> None:
    model, who = scripted(tokens=3000, rate=50).name, house.headers("five at once")
    async with Client(house.chain.gateway.url) as client, AsyncExitStack() as stack:

        async def opened() -> Reading:
            asked = {"model": model, **SAID}
            return await stack.enter_async_context(client.open("POST", "/api/chat/stream", asked, who))

        readings = await asyncio.gather(*(opened() for _ in range(100)))
        running = [reading for reading in readings if reading.answer.status == 200]
        refusals = [await reading.until_end() for reading in readings if reading.answer.status != 200]
        for reading in running:
            reading.leave()

    assert len(running) == 5
    assert {limited(answer, Code.CONCURRENCY_LIMITED) for answer in refusals} == {1}
    assert len(calls_of(house.chain, model)) == 5


async def test_an_answer_that_ends_gives_its_place_to_the_next(house: House, client: Client) -> None:
    slow, who = scripted(tokens=3000, rate=50).name, house.headers("two at once")
    open_ = {"model": slow, **SAID}
    async with (
        client.open("POST", "/api/chat/stream", open_, who) as first,
        client.open("POST", "/api/chat/stream", open_, who) as second,
    ):
        path = (await first.until_tokens(1)).path
        await second.until_tokens(1)
        followed = await client.get(path, {**who, "Accept": "application/json"})
        third = await chat(client, who)
        await client.ask(f"{path}/cancel", {}, who)
        await first.until_end()
        await soon(lambda: house.at_once("two at once") == 1, "its place is given back behind its last byte")
        served = await chat(client, who)
        second.leave()

    limited(third, Code.CONCURRENCY_LIMITED)
    assert (followed.status, served.reason) == (200, "stop")


async def test_who_left_a_stream_that_goes_on_keeps_its_place_until_it_is_stopped(house: House, client: Client) -> None:
    slow, who = scripted(tokens=3000, rate=50).name, house.headers("two at once")
    await soon(lambda: house.at_once("two at once") == 0, "it was stopped")
    async with client.open(
        "POST", "/api/chat/stream", {"model": slow, **SAID, "on_disconnect": "continue"}, who
    ) as one:
        path = (await one.until_tokens(1)).path
        one.leave()
    await soon(lambda: house.at_once("two at once") == 1, "the client is gone")
    async with client.open("GET", path, None, who) as again:
        await again.until_tokens(1)
        held = (await usage(client, who))["streams"]
        await client.ask(f"{path}/cancel", {}, who)
        await again.until_end()

    assert held == 1
    await soon(lambda: house.at_once("two at once") == 0, "it was stopped")


async def left_behind(house: House, client: Client, who: str, path: str, asked: dict[str, Any]) -> None:
    """Ask for an answer that goes on, and return once its gateway knows that nobody reads it."""
    headers = {**house.headers(who), "X-Request-Id": f"left-by-{who.replace(' ', '-')}"}
    async with client.open("POST", path, {**asked, "on_disconnect": "continue"}, headers) as one:
        await one.some()
        one.leave()
    assert await told(house.chain.gateway, headers["X-Request-Id"]) == ["client_gone"]


async def test_an_answer_that_nobody_reads_to_its_end_is_booked_as_it_was_counted_and_gives_its_place_back(
    house: House, client: Client
) -> None:
    model = scripted(tokens=120, rate=40, prefill=0).name
    await left_behind(house, client, "one at once", "/api/chat/stream", {"model": model, **SAID})
    meanwhile = await chat(client, house.headers("one at once"))
    await soon(lambda: house.at_once("one at once") == 0, "it has ended", within_s=UNREAD_WITHIN_S)

    limited(meanwhile, Code.CONCURRENCY_LIMITED)
    assert house.used("one at once") > 120


@pytest.mark.parametrize("who", ["stops by id", "stops by chat"])
async def test_who_stopped_the_answer_that_it_left_may_ask_at_once(house: House, client: Client, who: str) -> None:
    model, name = scripted(tokens=3000, rate=50, prefill=0).name, f"{who.replace(' ', '-')}-of-a-page"
    if who == "stops by id":
        await left_behind(house, client, who, "/api/chat/stream", {"model": model, **SAID})
        (running,) = json.loads((await client.get("/api/chat/streams", house.headers(who))).body)["streams"]
        stop = f"/api/chat/stream/{running['id']}/cancel"
    else:
        await left_behind(house, client, who, "/api/ui/chat", {"model": model, "id": name, "messages": UI_SAID})
        stop = f"/api/ui/chat/{name}/stop"
    stopped = await client.ask(stop, {}, house.headers(who))
    answer = await chat(client, house.headers(who))

    assert (stopped.status, answer.reason) == (202, "stop")


async def test_a_stream_that_its_readers_leaving_stops_keeps_no_place_whoever_left_last(
    house: House, client: Client
) -> None:
    slow, who = scripted(tokens=3000, rate=50, prefill=0).name, house.headers("in two tabs")
    named = {**who, "X-Request-Id": "left-first"}
    async with client.open("POST", "/api/chat/stream", {"model": slow, **SAID}, named) as first:
        path = (await first.until_tokens(1)).path
        async with client.open("GET", f"{path}?after=0", None, who) as tab:
            await tab.until_tokens(1)
            first.leave()
            await told(house.chain.gateway, "left-first")
            tab.leave()

    await soon(lambda: house.at_once("in two tabs") == 0, "nobody reads it", within_s=UNREAD_WITHIN_S)


async def test_who_asks_again_by_its_key_joins_its_answer_where_no_other_is_let_in(
    house: House, client: Client
) -> None:
    asked = {"model": scripted(tokens=3000, rate=50, prefill=0).name, **SAID}
    who = {**house.headers("asks again"), "Idempotency-Key": secrets.token_urlsafe(24)}
    async with client.open("POST", "/api/chat/stream", asked, who) as first:
        stream_id = (await first.until_tokens(1)).stream_id
        async with client.open("POST", "/api/chat/stream", asked, who) as again:
            joined = (await again.until_tokens(1)).stream_id
            held = house.at_once("asks again")
            again.leave()
        another = await client.ask("/api/chat/stream", {**asked, "think": False}, who)
        anew = await chat(client, house.headers("asks again"))
        first.leave()

    assert (joined, held) == (stream_id, 1)
    refused(another, Code.IDEMPOTENCY_CONFLICT)
    limited(anew, Code.CONCURRENCY_LIMITED)


async def test_requests_a_minute_are_counted_and_every_answer_tells_how_one_stands(
    house: House, client: Client
) -> None:
    who = house.headers("two, then one in ten seconds")
    answers = [await chat(client, who) for _ in range(3)]
    told = [[int(answer.headers[f"X-RateLimit-{name}"]) for name in ("Limit", "Remaining")] for answer in answers]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert 1 <= limited(answers[2], Code.RATE_LIMITED) <= 10
    assert told == [[6, 1], [6, 0], [6, 0]]
    assert all(1 <= int(answer.headers["X-RateLimit-Reset"]) <= 20 for answer in answers)


async def test_a_request_counts_once_it_is_one_and_lists_and_follows_do_not(house: House, client: Client) -> None:
    who = house.headers("two requests")
    bad = await client.ask("/api/chat/stream", {"model": QUICK, "unknown": 1}, who)
    lists = [await client.get(path, who) for path in ("/api/models", "/api/usage")]
    first = await chat(client, who)
    follows = await client.get(f"{first.path}?after=0", who)
    embedded = await client.ask("/ollama/api/embed", {"model": "embedder", "input": "hi"}, who)
    last = await client.ask("/ollama/api/chat", {"model": QUICK, "messages": []}, who)

    assert [one.status for one in (bad, *lists, first, follows, embedded)] == [400, 200, 200, 200, 200, 200]
    assert [one.headers.get("X-RateLimit-Remaining") for one in (bad, *lists, first, follows, embedded)] == [
        *(None, None, None),
        *("1", None, "0"),
    ]
    assert (last.status, last.headers["Sluice-Error-Code"]) == (429, "rate_limited")


async def test_an_answer_may_be_as_long_as_the_day_has_tokens_left_and_is_booked_as_counted(
    house: House, client: Client
) -> None:
    who, model = house.headers("a hundred tokens"), scripted(tokens=20, prefill=0).name
    used = list[int]()

    def is_booked() -> bool:
        return house.used("a hundred tokens") == sum(used)

    for _ in range(2):
        answer = await chat(client, who, model)
        used += [sum(answer.end["usage"].values())] if answer.end else []
        await soon(is_booked, "it is booked behind its last byte")
    asked = [call["body"]["options"]["num_predict"] for call in calls_of(house.chain, model)]
    told = await usage(client, who)

    assert asked == [100, 100 - used[0]]
    assert (told["tokens_used"], told["tokens_per_day"], told["requests"]) == (sum(used), 100, 2)
    assert told["tokens_left"] == 100 - sum(used)
    assert told["time_zone"] == "Europe/Berlin"
    assert [(row["model"], row["requests"]) for row in told["usage"]] == [(row["model"], 2) for row in told["usage"]]


async def test_who_has_used_the_day_waits_for_the_next(house: House, client: Client) -> None:
    who = house.headers("ten tokens")
    await chat(client, who, scripted(tokens=30, prefill=0).name)
    await soon(lambda: house.used("ten tokens") >= 10, "it is booked behind its last byte")
    answer = await chat(client, who)
    told = await usage(client, who)

    assert limited(answer, Code.RATE_LIMITED) == pytest.approx(told["resets_in_s"], abs=60)
    assert told["tokens_left"] == 0


async def test_one_who_asks_a_hundred_times_is_no_business_of_nine_others(house: House) -> None:
    """The nine are served, all of them, while the tenth is refused."""
    model = scripted(tokens=5, rate=100, prefill=0).name
    async with Client(house.chain.gateway.url) as client:
        asking = [chat(client, house.headers("greedy"), model) for _ in range(100)]
        asking += [chat(client, house.headers(f"modest {number % 9}"), model) for number in range(27)]
        began = time.monotonic()
        answers = await asyncio.gather(*asking)
        took_s = time.monotonic() - began

    greedy, modest = answers[:100], answers[100:]
    assert {answer.reason for answer in modest} == {"stop"}
    assert sum(answer.status == 200 for answer in greedy) <= 3 + took_s + 1  # three, and one a second
    assert {limited(answer, Code.RATE_LIMITED) for answer in greedy if answer.status != 200} <= {1}


async def test_everybody_sees_its_own_use_and_who_may_all_of_it(house: House, client: Client) -> None:
    who = house.headers("of everybody")
    answer = await chat(client, who, scripted(tokens=4, prefill=0).name)
    mine = id_of(house.keys["of everybody"])
    await soon(lambda: sample(house.chain.gateway, "llm_key_tokens_total", key_id=mine) > 0, "it is counted")
    own, everybodys = await usage(client, house.headers("bare")), await usage(client, who)

    assert answer.reason == "stop"
    assert own["usage"] == []
    assert mine in {row["key"] for row in everybodys["usage"]}
    assert id_of(house.keys["the gate"]) in {row["key"] for row in everybodys["usage"]}
    assert (await client.get("/api/usage")).status == 401
    assert json.loads(house.chain.gateway.get("/health")[1])["limits"] == "memory"
