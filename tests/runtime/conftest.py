"""Real processes of the tiny service, and the event loops of tests that name theirs in ``LOOPS``."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.runtime.tiny_process import Tiny

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Run a module's tests on each of its ``LOOPS``; without any, on asyncio's own."""
    module = item.getparent(pytest.Module)
    loops: Mapping[str, LoopFactory] = getattr(module and module.obj, "LOOPS", {})
    return loops or {"asyncio": asyncio.new_event_loop}


@pytest.fixture
def tiny() -> Iterator[Callable[..., Tiny]]:
    """Start tiny services; what is left of them at the end is killed."""
    started: list[Tiny] = []

    def start(*arguments: str, **environ: str) -> Tiny:
        started.append(Tiny(*arguments, **environ))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()
