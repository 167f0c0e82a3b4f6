"""How soon a model server hears that nobody reads: three ways of leaving, a hundred clients each.

The tests assert that all is given back; the times are printed (`pytest -s`), since speed is the machine's.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest

from tests.chain import Chain, running_chain
from tests.eventually import eventually
from tests.reader import Client, Reading

CLIENTS: Final = 100
BETWEEN_S: Final = 0.01
IDLE_POOL: Final = 100
"""Connections that the gateway's and the proxy's clients may keep for the next call."""
MID_ANSWER: Final = "sim:tokens=100000,rate=50,load=0,prefill=0,seed="
NO_TOKEN_YET: Final = "sim:tokens=100,rate=50,load=0,prefill=60,seed="

Act = Callable[[Client, Reading], Awaitable[None]]


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with running_chain(
        simulator={"NUM_PARALLEL": "200"},
        proxy={"PERMITS": "200", "FIRST_TOKEN_TIMEOUT_S": "60", "TOTAL_TIMEOUT_S": "60"},
    ) as running:
        yield running


async def leave(_client: Client, reading: Reading) -> None:
    reading.leave()


async def say_cancel(client: Client, reading: Reading) -> None:
    answer = await client.ask(f"/api/chat/stream/{reading.answer.stream_id}/cancel")
    assert answer.status == 202


async def seconds_until_the_model_server_knew(chain: Chain, model: str, act: Act, tokens: int) -> list[float]:
    """Open CLIENTS streams, act on one after the other, and return how long each model call outlived its act."""
    chain.forget()
    acted: dict[str, float] = {}

    async def one(client: Client, number: int) -> None:
        body = {"model": f"{model}{number}", "message": "hi"}
        async with client.open("POST", "/api/chat/stream", body) as reading:
            await reading.until_tokens(tokens)
            opened.release()
            await turn.acquire()
            acted[body["model"]] = time.monotonic()
            await act(client, reading)
            if act is say_cancel:
                answer = await reading.until_end()
                assert answer.reason == "cancelled"

    opened, turn = asyncio.Semaphore(0), asyncio.Semaphore(0)
    async with Client(chain.gateway.url) as client, asyncio.TaskGroup() as clients:
        for number in range(CLIENTS):
            clients.create_task(one(client, number))
        for _ in range(CLIENTS):
            await opened.acquire()
        for _ in range(CLIENTS):
            turn.release()
            await asyncio.sleep(BETWEEN_S)  # the pace of the acts, not a wait for their effect
    closed = eventually(lambda: all_closed(chain, acted), "every model call is closed")
    return [closed[name] - at for name, at in acted.items()]


def all_closed(chain: Chain, acted: dict[str, float]) -> dict[str, float] | None:
    calls: list[dict[str, Any]] = [call for call in chain.witness()["calls"] if call["model"] in acted]
    closed = {call["model"]: call["closed_at"] for call in calls if call["closed_at"] is not None}
    return closed if len(closed) == len(acted) else None


def open_files(chain: Chain) -> tuple[int, int]:
    return chain.gateway.open_files(), chain.proxy.open_files()


def tasks_alive(chain: Chain) -> tuple[float, float]:
    name = "llm_event_loop_tasks"
    return chain.gateway.metrics()[name], chain.proxy.metrics()[name]


def tasks_are_back(chain: Chain, files: tuple[int, int], tasks: tuple[float, float]) -> bool:
    """A kept connection costs its server a file and a task; beyond those no task may be left."""
    now = zip(open_files(chain), tasks_alive(chain), strict=True)
    then = zip(files, tasks, strict=True)
    return all(t1 - t0 <= max(0, f1 - f0) + 2 for (f1, t1), (f0, t0) in zip(now, then, strict=True))


def nothing_is_held(chain: Chain) -> bool:
    gateway, proxy = chain.gateway.metrics(), chain.proxy.metrics()
    active = [value for server in (gateway, proxy) for name, value in server.items() if "llm_streams_active" in name]
    return sum(active) == 0 and proxy["llm_followers"] == 0


@pytest.mark.parametrize(
    ("model", "act", "tokens", "reason"),
    [
        pytest.param(MID_ANSWER, leave, 3, "client_gone", id="mid-answer"),
        pytest.param(NO_TOKEN_YET, leave, 0, "client_gone", id="before the first token"),
        pytest.param(MID_ANSWER, say_cancel, 3, "cancelled", id="by saying cancel"),
    ],
)
async def test_a_hundred_clients_that_leave_give_everything_back(
    chain: Chain, model: str, act: Act, tokens: int, reason: str
) -> None:
    """C1, C2: client gone means model server told, in every phase; nothing is held afterwards."""
    before, tasks = open_files(chain), tasks_alive(chain)
    earlier = len(chain.gateway.events("stream.finished"))

    seconds = await seconds_until_the_model_server_knew(chain, model, act, tokens)

    eventually(lambda: nothing_is_held(chain), "no stream and no follower is left")
    eventually(lambda: chain.witness()["totals"]["calls_now"] <= 1, "no call but the witness's own is open")
    eventually(lambda: tasks_are_back(chain, before, tasks), "tasks are back where they were")
    after = open_files(chain)
    assert all(now <= then + IDLE_POOL for now, then in zip(after, before, strict=True))
    everybody = earlier + CLIENTS
    eventually(lambda: len(chain.gateway.events("stream.finished")) >= everybody, "everybody's line is written")
    reasons = [line["reason"] for line in chain.gateway.events("stream.finished")[earlier:]]
    assert reasons == [reason] * CLIENTS
    p50, p99 = statistics.median(seconds), statistics.quantiles(seconds, n=100)[98]
    print(f"\n{reason}, {model[4:30]}…: p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms", end="; ")
    print(f"open files {before} -> {after}, tasks {tasks} -> {tasks_alive(chain)}")
