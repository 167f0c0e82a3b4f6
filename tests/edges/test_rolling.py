"""L4, P1: a rolling restart of two gateways and two proxies behind a real HAProxy, under a hundred readers.

SLUICE_TEST_ROUNDS=20 .venv/bin/python -m pytest -s -m edge tests/edges/test_rolling.py
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from services.runtime.tasks import Tasks
from tests.behaviour.script import scripted
from tests.edges.configuration import EDGES
from tests.edges.running import RunningEdge, running_edge
from tests.edges.two_of_each import Tally, TwoOfEach, read_whole, two_of_each
from tests.eventually import soon
from tests.machine import needs, program
from tests.reader import Client

ROUNDS: Final = int(os.environ.get("SLUICE_TEST_ROUNDS", "1"))
READERS: Final = 100
RATE: Final = 10
TOKENS: Final = 40  # four seconds: they fit into a proxy's drain, and outlast a gateway's

pytestmark = [pytest.mark.edge, needs("haproxy"), pytest.mark.timeout(120 + 90 * ROUNDS)]


@pytest.fixture(scope="module")
def house() -> Iterator[TwoOfEach]:
    with two_of_each() as house:
        yield house


@pytest.fixture(scope="module")
def haproxy(house: TwoOfEach, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEdge]:
    path = program("haproxy")
    assert path is not None
    gateways = [gateway.address for gateway in house.gateways]
    folder = tmp_path_factory.mktemp("haproxy")
    with running_edge(EDGES["haproxy"], path, folder, gateways=gateways, page=house.page.address) as edge:
        yield edge


async def test_a_rolling_restart_of_two_of_each_costs_no_reader_a_word_and_no_question_an_answer(
    house: TwoOfEach, haproxy: RunningEdge
) -> None:
    tally, over, asked = Tally(), asyncio.Event(), list[str]()

    async def reads_again_and_again(client: Client) -> None:
        while not over.is_set():
            model = scripted(tokens=TOKENS, rate=RATE, prefill=0)
            asked.append(model.name)
            tally.judge(*await read_whole(client, model.name, tally), expected=model.text)

    began, tasks = time.monotonic(), Tasks()
    async with Client(f"http://localhost:{haproxy.place.plain_port}") as client:
        readers = [tasks.spawn(reads_again_and_again(client), "reads") for _ in range(READERS)]
        await soon(lambda: tally.whole >= READERS, "all have been served", within_s=60)
        for _ in range(ROUNDS):
            await house.roll()
        over.set()
        await asyncio.gather(*readers)
    generations = Counter(call["model"] for call in house.chain.witness()["calls"])
    print(f"\n{ROUNDS} rounds, {READERS} readers, {time.monotonic() - began:.0f} s: {tally}")

    assert tally.came_back > 0
    assert (tally.lost, tally.doubled, sum(tally.cut.values()), sum(tally.refused.values())) == (0, 0, 0, 0)
    assert {model: generations[model] for model in asked if generations[model] > 1} == {}
