"""The model server of the bench: native/source.c, or its stand-in in Python."""

import subprocess
import threading
from types import TracebackType
from typing import Self

from tests.bench.cores import Cores, pinned
from tests.bench.programs import Programs
from tests.bench.tally import moments
from tests.eventually import eventually


class ModelServer:
    """A running one; it ends with its stdin."""

    def __init__(self, programs: Programs, cores: Cores) -> None:
        with pinned(cores.source):
            self._process = subprocess.Popen(programs.source, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().split()[1])
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(5)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def forget(self) -> None:
        """Forget who is gone: the load generator numbers its streams from 1 each time."""
        self._lines.clear()

    def gone_ns(self, count: int) -> dict[int, int]:
        """Return when it saw that a reader had gone, by stream, once ``count`` have."""
        eventually(lambda: len(self._lines) >= count, f"{count} streams are closed at the model server")
        return moments("".join(self._lines), "gone")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line)
