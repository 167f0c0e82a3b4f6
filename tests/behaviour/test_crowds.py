"""Many at once: they wait, are refused or are cut, and nothing of them stays. Cases C5, C9, C10, O1, O8, S9."""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import aiohttp
import pytest

from services.wire.events import Code
from tests.behaviour.connections import gateway_beside, sample
from tests.behaviour.crowd import open_files_at_most, processor_s
from tests.behaviour.gate import common_gate
from tests.behaviour.refusals import refused
from tests.behaviour.script import Scripted, scripted
from tests.behaviour.slow_crowd import readers_that_stop
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client

SLOW_READERS: Final = 50
SLOW_READER_BYTES: Final = 400_000
WRITE_TIMEOUT_S: Final = 1.0
SLACK_S: Final = 3.0
LEAVERS: Final = 1000
AT_ONCE: Final = 100
IDLE_POOL: Final = 100
STREAMS: Final = 63
RESUMES: Final = 500
MOST_READERS: Final = 8
PERMITS: Final = 4
OPEN_FILES: Final = 256
FILES_PER_STREAM: Final = 2.5
MANY_CLIENTS: Final = 400


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(
            simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "256"},
            proxy={"PERMITS": "256", "TOTAL_TIMEOUT_S": "40", "IDLE_TIMEOUT_S": "20", "GRACE_S": "5"},
            gateway={"MAX_STREAMS": "1100"},
        ) as chain,
        common_gate(chain),
    ):
        yield chain


async def test_fifty_readers_that_stop_at_once_are_cut_and_cost_little(chain: Chain) -> None:
    """C5: each at most 400 KB, in memory and sockets together, beside its log, which has a bound of its own."""
    names = [f"slow-in-a-crowd-{n}" for n in range(SLOW_READERS)]

    stopped = await readers_that_stop(chain, names, within_s=15.0)

    assert stopped.ends == [["slow_client"]] * SLOW_READERS
    assert stopped.took_s <= WRITE_TIMEOUT_S + SLACK_S
    assert stopped.bytes_each < SLOW_READER_BYTES
    assert set(stopped.others) == {"stop"}


@pytest.mark.parametrize("side", ["gateway", "proxy"])
async def test_a_thousand_that_connect_and_leave_leave_nothing(side: str, chain: Chain) -> None:
    """C9: at once, within the head, within the body, or before the answer."""
    server: Server = getattr(chain, side)
    before = server.open_files()
    body = b'{"model":"sim:tokens=1000,rate=20","prompt":"hi"}'
    head = (
        b"POST /api/generate/stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
    )
    whole = head + f"{len(body)}\r\n\r\n".encode() + body
    said = [b"", whole[:20], whole[:-5], whole]
    gate = asyncio.Semaphore(AT_ONCE)

    async def come_and_go(number: int) -> None:
        async with gate, SocketClient.connected(server.port) as client:
            await client.send(said[number % len(said)])
            if number % 2:
                client.reset()

    await asyncio.gather(*(come_and_go(number) for number in range(LEAVERS)))

    await soon(lambda: server.open_files() <= before + IDLE_POOL, "descriptors are back")
    await soon(lambda: sample(chain.proxy, "llm_streams_active") == 0, "nothing runs")


async def test_a_storm_of_resumes_has_no_gap_and_no_duplicate(chain: Chain) -> None:
    """C10: 500 in a second over 63 streams, each from a number of its own."""
    models = [scripted(tokens=40, rate=12) for _ in range(STREAMS)]
    dice = random.Random(10)
    async with Client(chain.gateway.url) as client:
        begun = await asyncio.gather(*(begin(client, model) for model in models))

        async def resume(number: int) -> tuple[Scripted, int, Answer]:
            await asyncio.sleep(number / RESUMES)  # the storm's second: what is tested
            which = number % STREAMS
            after = dice.randint(0, begun[which].last_number)
            return models[which], after, await client.get(f"{begun[which].path}?after={after}")

        resumed = await asyncio.gather(*(resume(number) for number in range(RESUMES)))

    assert max(Counter(model.name for model, _, _ in resumed).values()) == MOST_READERS
    for model, after, answer in resumed:
        numbers = [int(event.last_event_id.rpartition("-")[2]) for event in answer.events if event.type != "status"]
        assert (answer.status, answer.reason) == (200, "stop")
        assert answer.text == model.after(after)
        assert numbers == sorted(set(numbers))
        assert numbers[0] > after


async def begin(client: Client, model: Scripted) -> Answer:
    """Start a stream that goes on without us, and leave after some words."""
    body = {"model": model.name, "message": "hi", "on_disconnect": "continue"}
    async with client.open("POST", "/api/chat/stream", body) as reading:
        answer = await reading.until_tokens(3)
        reading.leave()
        return answer


# --- more than there are permits


async def answers_in(client: Client, model: Scripted, clients: int, seconds: float) -> list[Answer]:
    """Let so many clients ask again and again, each when it has its answer, and return all answers."""
    until = time.monotonic() + seconds
    answers: list[Answer] = []

    async def ask_again() -> None:
        while time.monotonic() < until:
            answers.append(await client.chat(model.name))
            if answers[-1].status == 503:
                await asyncio.sleep(0.1)  # far less than Retry-After asks for

    await asyncio.gather(*(ask_again() for _ in range(clients)))
    return answers


async def test_ten_times_as_many_as_permits_lose_nothing_but_their_turn(chain: Chain) -> None:
    """O1: whoever is let in has a whole answer, the rest are told when to come back."""
    proxy = await asyncio.to_thread(chain.another_proxy, PERMITS=f"{PERMITS}", QUEUE_LENGTH=f"{PERMITS}")
    model = scripted(tokens=20, rate=100)
    with gateway_beside(chain, PROXY_URL=proxy.url) as gateway:
        await soon(lambda: gateway.get("/readyz")[0] == 200, "the gateway is ready")
        async with Client(gateway.url) as client:
            crowded = await answers_in(client, model, 10 * PERMITS, 3.0)
        running = max(use["most_running"] for name, use in chain.witness()["models"].items() if name == model.name)
    proxy.stop()

    served = [answer for answer in crowded if answer.status == 200]
    turned_away = [answer for answer in crowded if answer.status != 200]
    assert {(answer.text, answer.reason) for answer in served} == {(model.text, "stop")}
    assert len(served) >= 2 * PERMITS  # those with a permit, and those who had a place in the line
    assert turned_away
    for answer in turned_away:
        refused(answer, Code.OVERLOADED)
    assert running == PERMITS


async def test_more_clients_than_files_are_refused_and_the_gateway_recovers(chain: Chain) -> None:
    """O8, T16: MAX_STREAMS is what the limit of open files carries; past the files a close is an answer, too."""
    with open_files_at_most(OPEN_FILES):
        gateway = chain.another_gateway()
    most = int(OPEN_FILES / FILES_PER_STREAM)
    await soon(lambda: gateway.get("/readyz")[0] == 200, "the gateway is ready")
    statuses, computing = await statuses_of_a_crowd(gateway, scripted(tokens=1000, rate=5))
    async with Client(gateway.url) as client:
        good = await asks_until_answered(client)
    gateway.stop()

    (warning,) = gateway.events("streams.lowered")
    assert (warning["level"], warning["most"], warning["open_files"]) == ("warning", most, OPEN_FILES)
    assert set(statuses) <= {200, 503, 0}
    assert 0 < statuses[200] <= most
    assert statuses[503] > 0
    assert computing < 0.2
    assert good.reason == "stop"


async def statuses_of_a_crowd(gateway: Server, model: Scripted) -> tuple[Counter[int], float]:
    """Return what each of many was answered, 0 for a close or silence, and how much of a core it cost to hold them."""
    async with AsyncExitStack() as stack:
        arriving = [SocketClient.connected(gateway.port) for _ in range(MANY_CLIENTS)]
        clients = [await stack.enter_async_context(client) for client in arriving]
        await asyncio.gather(*(said_hello(client, model.name) for client in clients))
        before, since = processor_s(gateway), time.monotonic()
        await asyncio.sleep(1.5)  # the time in which an accept loop would spin: what is tested
        computing = (processor_s(gateway) - before) / (time.monotonic() - since)
    return Counter(client.answer.status for client in clients), computing


async def said_hello(client: SocketClient, model: str) -> None:
    """Ask, and wait for an answer as long as it may take a server that has no file for it."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        await client.chat(model)
        async with asyncio.timeout(2.0):
            while not client.answer.status and await client.read():
                pass


async def asks_until_answered(client: Client) -> Answer:
    """Return the first answer that is no refusal, within the second that recovery may take and some slack."""
    async with asyncio.timeout(1.0 + SLACK_S):
        while True:
            with contextlib.suppress(aiohttp.ClientConnectionError):
                answer = await client.chat("sim:tokens=3")
                if answer.status == 200:
                    return answer
            await asyncio.sleep(0.02)  # between two polls


async def test_random_model_names_on_the_json_routes_add_no_series(chain: Chain) -> None:
    """S9: the event streams' are counted in test_metrics.py."""
    dice = random.Random(9)
    names = ["".join(dice.choices("abcxyz0189._-:/", k=24)) for _ in range(100)]
    routes = [(chain.gateway, "/api/chat"), (chain.proxy, "/api/chat"), (chain.proxy, "/api/generate")]
    async with AsyncExitStack() as stack:
        clients = [(await stack.enter_async_context(Client(server.url)), path) for server, path in routes]

        async def ask_all(asked: list[str]) -> list[int]:
            said = {"messages": [{"role": "user", "content": "hi"}], "stream": False}
            bodies = [
                {"model": name, **(said if path.endswith("chat") else {"prompt": "hi"})}
                for name in asked
                for _, path in clients
            ]
            asking = zip(bodies, itertools.cycle(clients))
            return [
                answer.status
                for answer in await asyncio.gather(*(client.ask(path, body) for body, (client, path) in asking))
            ]

        await ask_all(names[:20])  # each kind of answer once: it has its own series, whoever asks
        before = [set(server.metrics()) for server in (chain.gateway, chain.proxy)]
        statuses = await ask_all(names)
        after = [set(server.metrics()) for server in (chain.gateway, chain.proxy)]

    assert set(statuses) <= {400, 404}
    assert [now - then for now, then in zip(after, before, strict=True)] == [set(), set()]


async def test_the_question_of_a_finished_answer_is_not_kept(chain: Chain) -> None:
    """P3: its log is, for a minute, and has a bound; a question may have a mebibyte."""
    long = {"model": "sim:tokens=1", "message": "x" * 1_000_000}
    async with Client(chain.gateway.url) as client:
        await client.ask("/api/chat", long)
        before = chain.proxy.resident_bytes()
        answers = [
            await client.ask("/api/chat", long, {"Idempotency-Key": f"a-long-question-{n:06}"}) for n in range(60)
        ]
        held = chain.proxy.resident_bytes() - before

    assert {answer.status for answer in answers} == {200}
    assert held < 30_000_000
