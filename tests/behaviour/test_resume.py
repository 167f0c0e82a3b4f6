"""Coming back after a number: no gap, no duplicate, whatever broke in between. Cases C11 to C13, P10."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest

from tests.behaviour.connections import calls_of, told
from tests.behaviour.gate import common_gate
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.reader import Answer, Client

MOST_FOLLOWERS: Final = 8
NATIVE: Final = {"Accept": "text/event-stream;dialect=native"}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": "rate=100"},
            proxy={"GRACE_S": "5", "KEEP_S": "20", "TOTAL_TIMEOUT_S": "30", "IDLE_TIMEOUT_S": "20"},
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


def numbers(answer: Answer) -> list[int]:
    """The numbers of the events that have one; a merged run has that of its last part."""
    return [int(event.last_event_id.rpartition("-")[2]) for event in answer.events if event.type != "status"]


def is_whole(model: Scripted, parts: list[Answer]) -> bool:
    """Whether the connections, one after another, brought the answer once: set and order."""
    seen = [number for part in parts for number in numbers(part)]
    return (
        "".join(part.text for part in parts) == model.text and seen == sorted(set(seen)) and parts[-1].reason == "stop"
    )


# --- after any number


async def test_after_any_number_of_a_finished_answer_comes_exactly_what_follows(chain: Chain) -> None:
    """P10: also after numbers inside the runs that are merged into one frame."""
    model = scripted(tokens=60, rate=0)
    async with Client(chain.gateway.url) as client:
        whole = await client.chat(model.name)
        last = whole.last_number
        rests = {after: await client.get(f"{whole.path}?after={after}") for after in range(last)}
        nothing = await client.get(f"{whole.path}?after={last}")

    assert last == 1 + 60 + 1  # start, tokens, done
    assert {after: rest.text for after, rest in rests.items()} == {after: model.after(after) for after in rests}
    assert all(numbers(rest)[0] > after for after, rest in rests.items())
    assert all((numbers(rest)[-1], rest.reason, rest.ended_cleanly) == (last, "stop", True) for rest in rests.values())
    assert (nothing.status, nothing.body) == (204, b"")


async def test_after_any_number_of_a_running_answer_comes_exactly_what_follows(chain: Chain) -> None:
    """P10: replay, then live, without a seam; at the proxy as at the gateway."""
    model = scripted(tokens=250)
    async with Client(chain.gateway.url) as client, SocketClient.connected(chain.gateway.port) as first:
        await first.chat(model.name)
        seen = await first.until_tokens(60)
        for after in range(0, 60, 3):
            async with client.open("GET", f"{seen.path}?after={after}") as reading:
                rest = await reading.until_tokens(6)
                reading.leave()
            assert model.after(after).startswith(rest.text)
            assert rest.text != ""
            assert numbers(rest)[0] > after
        async with Client(chain.proxy.url) as direct:
            rest = await direct.get(f"/api/streams/{seen.stream_id}?after=17", NATIVE)
        whole = await first.until_end()

    assert rest.text == model.after(17)
    assert whole.text == model.text
    assert numbers(whole) == sorted(set(numbers(whole)))


async def test_the_header_wins_over_the_query(chain: Chain) -> None:
    """Last-Event-ID is what an EventSource knows; the address that it opened is older."""
    model = scripted(tokens=30, rate=0)
    async with Client(chain.gateway.url) as client, Client(chain.proxy.url) as direct:
        whole = await client.chat(model.name)
        header = {"Last-Event-ID": f"{whole.stream_id}-20"}
        rest = await client.get(f"{whole.path}?after=3", header)
        at_the_proxy = await direct.get(f"/api/streams/{whole.stream_id}?after=3", header | NATIVE)

    assert rest.text == at_the_proxy.text == model.after(20)


BAD_POSITIONS: Final = ["x", "-1", "+1", "1.0", " 1", "0x1", "1e3", "%d9%a1", "9" * 16, "9" * 5000, "63", "", "1,2"]


async def test_a_number_that_is_none_or_lies_ahead_is_refused(chain: Chain) -> None:
    """C12: 400 for each, by query and by header, never a 5xx."""
    model = scripted(tokens=60, rate=0)
    async with Client(chain.gateway.url) as client, Client(chain.proxy.url) as direct:
        whole = await client.chat(model.name)
        for server, path in ((client, whole.path), (direct, f"/api/streams/{whole.stream_id}")):
            by_query = [(await server.get(f"{path}?after={text}")).status for text in BAD_POSITIONS]
            ids = [f"{whole.stream_id}-{text}" for text in BAD_POSITIONS if "%" not in text]
            ids += ["", "garbage", whole.stream_id, f"abcd.{'A' * 26}-3", "x" * 10_000, whole.last_id.upper()[::-1]]
            by_header = [(await server.get(path, {"Last-Event-ID": text})).status for text in ids]

            assert by_query == [400] * len(by_query)
            assert by_header == [400] * len(by_header)


@pytest.mark.parametrize("stream_id", [f"abcd.{'A' * 26}", "abcd", "-", "x" * 2000, "%C3%A9"])
async def test_a_stream_that_is_not_held_is_gone(chain: Chain, stream_id: str) -> None:
    """C11: not held, not yours, no id at all: one answer."""
    async with Client(chain.gateway.url) as client, Client(chain.proxy.url) as direct:
        answers = [
            await client.get(f"/api/chat/stream/{stream_id}?after=1"),
            await client.get(f"/api/chat/stream/{stream_id}"),
            await direct.get(f"/api/streams/{stream_id}?after=1"),
        ]

    assert [(answer.status, answer.error["code"]) for answer in answers] == [(410, "stream_gone")] * 3


# --- several at once


async def test_eight_followers_get_the_same_answer_and_a_ninth_is_refused(chain: Chain) -> None:
    """C13: the same text and the same terminal event; 429 with Retry-After for one too many."""
    model = scripted(tokens=250)  # it goes on until all nine have come
    async with Client(chain.gateway.url) as client, AsyncExitStack() as stack:
        body = {"model": model.name, "message": "hi"}
        readings = [await stack.enter_async_context(client.open("POST", "/api/chat/stream", body))]
        seen = await readings[0].until_tokens(3)
        for after in range(MOST_FOLLOWERS - 1):
            follow = client.open("GET", f"{seen.path}?after={after % 2}")
            readings.append(await stack.enter_async_context(follow))
        ninth = await client.get(seen.path)
        answers = await asyncio.gather(*(reading.until_end() for reading in readings))

    assert (ninth.status, ninth.error["code"]) == (429, "concurrency_limited")
    assert int(ninth.headers["Retry-After"]) >= 1
    assert [answer.text for answer in answers] == [model.text] * MOST_FOLLOWERS
    ends = [{**(answer.end or {}), "gateway": None} for answer in answers]
    assert all(end == ends[0] for end in ends)
    assert {answer.last_id for answer in answers} == {answers[0].last_id}


# --- broken connections


async def read_in_pieces(server: Server, model: Scripted) -> list[Answer]:
    """Read an answer by as many connections as it takes, each reset after a few events."""
    async with SocketClient.connected(server.port) as client:
        await client.chat(model.name, on_disconnect="continue")
        parts = [await client.until_tokens(3)]
        client.reset()
    while parts[-1].end is None:
        async with SocketClient.connected(server.port) as client:
            last_id = next(part.last_id for part in reversed(parts) if part.last_id)
            await client.ask(parts[0].path, None, {"Last-Event-ID": last_id}, method="GET")
            await client.until(lambda answer: len(answer.events) >= 3 or answer.end)
            parts.append(client.answer)
            client.reset()
    return parts


async def test_twenty_answers_read_by_hundreds_of_connections_have_no_gap_and_no_duplicate(chain: Chain) -> None:
    """P10: the clients' connections are cut over and over; the streams go on."""
    models = [scripted(tokens=150) for _ in range(20)]

    answers = await asyncio.gather(*(read_in_pieces(chain.gateway, model) for model in models))

    assert all(is_whole(model, parts) for model, parts in zip(models, answers, strict=True))
    assert [len(calls_of(chain, model.name)) for model in models] == [1] * 20


async def test_forty_streams_survive_the_kill_of_their_gateway(chain: Chain) -> None:
    """L5: 20 `continue` and 20 `cancel` streams resume through a new gateway within five seconds."""
    models = [scripted(tokens=200) for _ in range(40)]
    victim = chain.another_gateway()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(SocketClient.connected(victim.port)) for _ in models]
        for index, (client, model) in enumerate(zip(clients, models, strict=True)):
            mode = ("cancel", "continue")[index % 2]
            await client.chat(model.name, f"survivor-{mode}-{index:02}", on_disconnect=mode)
        await asyncio.gather(*(client.until_tokens(20) for client in clients))
        victim.kill()
        firsts = await asyncio.gather(*(client.until_end() for client in clients))
    assert not any(first.ended_cleanly or first.end for first in firsts)

    heir = chain.another_gateway()
    async with Client(heir.url) as again:
        rests = await asyncio.gather(*(again.get(f"{one.path}?after={one.last_number}") for one in firsts))
    heir.stop()

    pairs = zip(models, firsts, rests, strict=True)
    assert [is_whole(model, [first, rest]) for model, first, rest in pairs] == [True] * 40
    assert [len(calls_of(chain, model.name)) for model in models] == [1] * 40


async def test_a_resume_after_the_last_event_of_a_running_answer_waits_for_the_next(chain: Chain) -> None:
    """Nothing is owed yet: the connection opens, and the next event is the next number."""
    model = scripted(tokens=2, rate=2)
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(model.name, "resume-at-the-end")
        seen = await client.until_tokens(1)
        async with Client(chain.gateway.url) as other:
            rest = await other.get(f"{seen.path}?after={seen.last_number}")

    assert (rest.text, numbers(rest)) == (model.tokens[1], [3, 4])
    assert await told(chain.proxy, "resume-at-the-end") == ["stop"]
