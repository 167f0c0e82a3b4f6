"""The tiny service as a process, and what it answers."""

import http.client
import json
import os
import signal
import subprocess
import sys
from typing import Any

from services.runtime.settings import Address

Line = dict[str, Any]


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


def get(address: Address, path: str) -> tuple[int, str]:
    """Return status and body of one GET."""
    connection = http.client.HTTPConnection(address.host, address.port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
