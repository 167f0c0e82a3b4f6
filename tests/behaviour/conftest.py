"""The chain that most promises are tested on, and a client of its gateway; a module with other needs makes its own."""

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.certificate import make_certificate
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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """What servers of a test speak TLS with, and the file by which they are known."""
    return make_certificate(tmp_path_factory.mktemp("tls"))
