from collections.abc import AsyncIterator

import pytest

from services.simulator.settings import Settings
from services.simulator.simulator import Simulator, running_simulator
from tests.simulator.reader import ANY_PORT, Reader


@pytest.fixture(autouse=True)
async def _readers_leave() -> AsyncIterator[None]:
    yield
    await Reader.leave_all()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """A simulator that says everything at once and loads in no time."""
    async with running_simulator(Settings(listen=ANY_PORT, script="rate=0,pace=0")) as running:
        yield running
