"""Real processes of the tiny service, and the event loops of tests that name theirs in ``LOOPS``."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from services.runtime.settings import Address

Line = dict[str, Any]
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Run a module's tests on each of its ``LOOPS``; without any, on asyncio's own."""
    module = item.getparent(pytest.Module)
    loops: Mapping[str, LoopFactory] = getattr(module and module.obj, "LOOPS", {})
    return loops or {"asyncio": asyncio.new_event_loop}


class Tiny:
    """One running process; every line that it logs is kept in ``lines``."""

    def __init__(self, *arguments: str, **environ: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.runtime.tiny_service", *arguments],
            env={**os.environ, "SLUICE_LOG_FORMAT": "json", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.lines: list[Line] = []

    def until(self, event: str) -> Line:
        """Read its log up to the first line of this event."""
        assert self.process.stdout is not None
        for text in self.process.stdout:
            self.lines.append(json.loads(text))
            if self.lines[-1]["event"] == event:
                return self.lines[-1]
        raise AssertionError(f"no {event} in {self.lines}")

    def listening(self) -> Address:
        return Address.parse(self.until("listening")["address"])

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Wait for the end; return the exit code."""
        out, _ = self.process.communicate(timeout=20)
        self.lines += map(json.loads, filter(None, out.split(b"\n")))
        return self.process.returncode

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines]


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


def get(address: Address, path: str) -> tuple[int, str]:
    """Return status and body of one GET."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
