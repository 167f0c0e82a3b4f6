"""A chain of processes as a person starts it: in a process group of its own, its output read as it comes."""

import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.architecture.source import ROOT
from tests.eventually import eventually

PAGE_BYTES: Final = 4096


class ChainProcess:
    def __init__(self, command: list[str], environ: Mapping[str, str]) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._lines = self._process.stdout

    def until(self, text: str, times: int = 1) -> str:
        """Read its output until it held ``text`` so many times; return all of it so far."""
        assert self._lines is not None
        while self.output.count(text) < times:
            line = self._lines.readline().decode()
            assert line, f"ended without {text!r}:\n{self.output}"
            self.output += line
        return self.output

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C: the signal goes to the whole group, as from a terminal."""
        os.killpg(self._process.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM to the first process alone, as a supervisor does."""
        self._process.send_signal(signal.SIGTERM)

    def stop_reading(self) -> None:
        """Close the other end of its output, as `| head` does."""
        assert self._lines is not None
        self._lines.close()
        self._process.stdout = None

    def stalls(self) -> None:
        """Wait, reading nothing, until the pipe of its output has no room for another page."""
        assert self._lines is not None
        pipe = self._lines.fileno()
        room = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - PAGE_BYTES
        eventually(lambda: struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0] > room)

    def ended_unread(self, within_s: float = 20) -> int:
        """Wait for its end as long as nobody reads; return the exit code."""
        return self._process.wait(timeout=within_s)

    def ended(self, within_s: float = 20) -> int:
        """Wait for its end; return the exit code."""
        out, _ = self._process.communicate(timeout=within_s)
        self.output += (out or b"").decode()
        return self._process.returncode

    @property
    def children(self) -> list[int]:
        """The processes that it said it started."""
        return [int(pid) for pid in re.findall(r"started \(pid=(\d+)\)", self.output)]

    def left(self) -> list[int]:
        """Those of its processes that are still there."""
        return [pid for pid in self.children if Path(f"/proc/{pid}").exists()]

    def kill(self) -> None:
        """End whatever is left, at the end of a test."""
        for pid in self.left():
            os.killpg(pid, signal.SIGKILL)
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()
