"""Child processes side by side in one terminal: their lines on one stdout, their ends together.

Threads, not asyncio: a signal is handled although stdout takes nothing, and each child is read by a thread of its own,
so that a stalled terminal holds up what is printed and nothing else.
"""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LINE_BYTES: Final = 64 << 10  # a longer line is printed in parts
KILL_AFTER_S: Final = 2  # drains are 1 s: who is still there then will not end by itself
KILLED_S: Final = 0.5
LAST_LINES_S: Final = 0.2  # for what they said at last; a stalled terminal is not waited for
_NONE: Final[Mapping[str, Path]] = {}
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the last: the terminal was closed


class Processes:
    """Python modules run as processes until a signal comes or one of them ends; then all end.

    Args:
        modules: the processes to start, by the name that their lines bear.
        environ: their environment.
        folders: where a process's modules are, by its name, if not in the checkout.
    """

    def __init__(
        self, modules: Mapping[str, str], environ: Mapping[str, str], folders: Mapping[str, Path] = _NONE
    ) -> None:
        self._modules = modules
        self._environ = environ
        self._folders = folders
        self._children: list[subprocess.Popen[bytes]] = []
        self._printers: list[threading.Thread] = []
        self._printing = threading.Lock()
        self._read = True  # by somebody, as far as we know
        # exit codes of children, None for "stop": one a child and a signal at most, and one when nobody reads any more
        self._ends: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def run(self) -> int:
        """Return the exit code: 0 where a signal, or a reader who went away, asked for the end."""
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: self._ends.put(None))
        try:
            for name, module in self._modules.items():
                self._start(name, [sys.executable, "-m", module])
            code = self._ends.get()
        finally:
            self._end_all()
        return 0 if code is None else max(code, 0) or 1  # nobody asked it to end: a failure, even with 0

    def write(self, text: str) -> None:
        """Print without mixing lines; end all when nobody reads any more, as after `make run | head`."""
        self._print(text.encode())

    def _start(self, name: str, command: list[str]) -> None:
        # a session of its own: Ctrl-C in the terminal is told to the child by us, once
        child = subprocess.Popen(  # noqa: S603 our own modules
            command,
            cwd=self._folders.get(name, ROOT),
            env=dict(self._environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._children.append(child)
        prefix = f"{name:<{max(map(len, self._modules))}} | "
        printer = threading.Thread(target=self._print_lines, args=(child, prefix.encode()), daemon=True)
        self._printers.append(printer)
        printer.start()
        threading.Thread(target=lambda: self._ends.put(child.wait()), daemon=True).start()

    def _print_lines(self, child: subprocess.Popen[bytes], prefix: bytes) -> None:
        self._print(prefix + b"started (pid=%d)\n" % child.pid)
        assert child.stdout is not None
        while line := child.stdout.readline(LINE_BYTES):
            self._print(prefix + line.removesuffix(b"\n") + b"\n")

    def _print(self, line: bytes) -> None:
        """Write to the descriptor itself: a buffer that a thread holds at the exit would abort the interpreter."""
        with self._printing:
            try:
                while line and self._read:
                    line = line[os.write(1, line) :]
            except OSError:
                self._read = False
                self._ends.put(None)

    def _end_all(self) -> None:
        """Ask all to end, kill those who do not, and print what they said at last."""
        self._stop(subprocess.Popen.terminate, KILL_AFTER_S)
        self._stop(subprocess.Popen.kill, KILLED_S)
        deadline = time.monotonic() + LAST_LINES_S
        for printer in self._printers:
            printer.join(max(0, deadline - time.monotonic()))

    def _stop(self, signal_to: Callable[[subprocess.Popen[bytes]], None], patience_s: float) -> None:
        deadline = time.monotonic() + patience_s
        for child in self._children:
            signal_to(child)
        for child in self._children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(0, deadline - time.monotonic()))
