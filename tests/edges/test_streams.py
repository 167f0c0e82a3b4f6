"""What must hold of an answer through an edge: long pauses, who leaves, a gateway that ends, and every form of it."""

import asyncio
import signal
import time
from typing import Final

import pytest

from tests.behaviour.connections import calls_of
from tests.behaviour.script import scripted
from tests.edges.curl import asking
from tests.edges.running import Behind, RunningEdge
from tests.eventually import soon
from tests.machine import needs
from tests.reader import Client

pytestmark = [pytest.mark.edge, pytest.mark.timeout(180)]

PAUSE_S: Final = 20
STOPPED_WITHIN_S: Final = 1.0 + 3.0  # P6, with an edge on the way and much beside it; who may come back has five
RATE: Final = 50
PATIENCE: Final = 5  # tries, as many as the page makes
SIGNALS: Final = {"killed": signal.SIGKILL, "told to end": signal.SIGTERM}


@needs("curl")
async def test_pauses_of_twenty_seconds_in_which_nothing_at_all_is_sent_are_survived(
    edges: dict[str, RunningEdge],
) -> None:
    """L11: all edges at once, for what costs time here is waiting; the heartbeats of these gateways are rarer."""
    models = {name: scripted(tokens=4, rate=1 / PAUSE_S) for name in edges}

    async def read(name: str) -> tuple[str, bool, int]:
        body = {"model": models[name].name, "message": "hi"}
        async with asking(edges[name].url, body, edges[name].certificate) as answer:
            await answer.until_end()
        gaps = [later - earlier for earlier, later in zip(answer.token_times, answer.token_times[1:], strict=False)]
        print(f"{name:8} {len(answer.token_times)} tokens, pauses of {', '.join(f'{gap:.2f}' for gap in gaps)} s")
        return answer.text, answer.ended, sum(gap > PAUSE_S - 1 for gap in gaps)

    read_all = await asyncio.gather(*map(read, edges))

    assert read_all == [(model.text, True, 3) for model in models.values()]


@needs("curl")
@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
@pytest.mark.parametrize("phase", ["before the first word", "in the middle"])
async def test_who_leaves_stops_the_model(edge: RunningEdge, behind: Behind, phase: str, version: str) -> None:
    """C1, C2, P6: the model server sees its caller go, and not after the window in which he may come back."""
    begun = phase == "in the middle"
    model = scripted(tokens=2000, rate=RATE) if begun else scripted(tokens=9, load=60)
    async with asking(edge.url, {"model": model.name, "message": "hi"}, edge.certificate, version) as reader:
        await reader.until_tokens(10 if begun else 0)
        await soon(lambda: [call["state"] for call in calls_of(behind.chain, model.name)], "it is asked")
        left_at = time.monotonic()
        reader.leave()
        await soon(lambda: calls_of(behind.chain, model.name)[0]["closed_at"], "the call is closed", within_s=20)
    (call,) = calls_of(behind.chain, model.name)
    print(f"{edge.edge.name:8} {version:9} {phase}: stopped after {(call['closed_at'] - left_at) * 1e3:.0f} ms")

    assert call["end"] == "left"
    assert call["closed_at"] - left_at <= STOPPED_WITHIN_S


@pytest.mark.parametrize("way", SIGNALS)
async def test_gateways_that_end_one_after_another_cost_their_readers_no_word(
    edge: RunningEdge, behind: Behind, way: str
) -> None:
    """L4, L5: who reads comes back at the same address, and the edge leads them to a gateway that is there."""
    models = [scripted(tokens=500, rate=RATE) for _ in range(6)]
    async with Client(edge.url, edge.tls) as client, asyncio.TaskGroup() as group:
        readers = [group.create_task(read_whole(client, model.name)) for model in models]
        await soon(lambda: all(tokens_of(behind, model.name) > 20 for model in models), "all speak", within_s=20)
        for number, gateway in enumerate(behind.gateways):
            async with behind.started_again(number):
                gateway.signal(SIGNALS[way])
                await asyncio.to_thread(gateway.wait)
    read = [reader.result() for reader in readers]
    came_back, turned_away = (sum(one) for one in list(zip(*read, strict=True))[1:])
    told = f"{len(models)} readers came back {came_back} times, and were turned away {turned_away} times meanwhile"
    print(f"{edge.edge.name:8} {way}, both gateways: {told}")

    assert [text for text, *_ in read] == [model.text for model in models]
    assert came_back >= len(models)
    assert [len(calls_of(behind.chain, model.name)) for model in models] == [1] * len(models)


async def read_whole(client: Client, model: str) -> tuple[str, int, int]:
    """Return an answer's text, how often it was gone on with, and how often the edge had nobody for that."""
    answer = await client.chat(model)
    path, text, last, times, turned_away = answer.path, answer.text, answer.last_number, 0, 0
    while answer.end is None:
        answer = await client.get(f"{path}?after={last}")
        if answer.status in {502, 503} and turned_away < PATIENCE:
            turned_away += 1
            await asyncio.sleep(0.2)  # as clients do that come back
            continue
        assert answer.status == 200, answer.body
        text, last, times = text + answer.text, answer.last_number or last, times + 1
    assert answer.reason == "stop"
    return text, times, turned_away


def tokens_of(behind: Behind, model: str) -> int:
    return sum(call["tokens"] for call in calls_of(behind.chain, model))


@pytest.mark.parametrize("path", ["/ollama/api/chat", "/ollama/api/generate"])
async def test_lines_of_ollamas_form_are_not_gathered_either(edge: RunningEdge, behind: Behind, path: str) -> None:
    """Some edges know event streams by their type: these are none."""
    model = scripted(tokens=60, rate=30)
    asked = {"prompt": "hi"} if path.endswith("generate") else {"messages": [{"role": "user", "content": "hi"}]}
    async with (
        Client(edge.url, edge.tls) as client,
        client.open("POST", path, {"model": model.name, "stream": True, **asked}) as reading,
    ):
        begun = await reading.some()
        running = [call["state"] for call in calls_of(behind.chain, model.name)]
        answer = await reading.until_end()

    assert (answer.status, running) == (200, ["streaming"])
    assert len(begun) < len(answer.wire)
    assert answer.wire.count(b"\n") > 50
