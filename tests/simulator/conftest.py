from collections.abc import AsyncIterator
from typing import Final

import pytest

from services.runtime.settings import Address
from services.simulator.settings import Settings
from services.simulator.simulator import Simulator, running_simulator
from tests.simulator.reader import Reader

ANY_PORT: Final = Address("127.0.0.1", 0)


@pytest.fixture(autouse=True)
async def _readers_leave() -> AsyncIterator[None]:
    yield
    await Reader.leave_all()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulator that says everything at once and loads in no time."""
    async with running_simulator(Settings(listen=ANY_PORT, script="rate=0,pace=0")) as running:
        yield running
