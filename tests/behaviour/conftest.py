"""The chain that most promises are tested on, and a client of its gateway; a module with other needs makes its own."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.chain import Chain, running_chain
from tests.reader import Client


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    with (
        running_chain(simulator=simulator, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


@pytest.fixture
async def client(chain: Chain) -> AsyncIterator[Client]:
    async with Client(chain.gateway.url) as client:
        yield client
