"""Fetches the page's libraries beside the chain, where they are missing: the page works meanwhile, with plain text."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Final, Self

from deploy.processes import ROOT

COMMAND: Final = ("sh", "deploy/libraries.sh")


class Fetching:
    """The script that fetches them, running while the block lasts at most.

    Args:
        tell: is given one line, if anything was fetched or could not be.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(  # noqa: S603 our own script
            COMMAND,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that npm ends with it
        )
        self._waiting = threading.Thread(target=self._tell_end, daemon=True)
        self._waiting.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)  # what is half built, the next one throws away

    @property
    def running(self) -> bool:
        """Whether it has not come to its end."""
        return self._child.poll() is None

    def wait(self) -> None:
        """Return when it has come to its end, and that was told."""
        self._waiting.join()

    def _tell_end(self) -> None:
        done, trouble = self._child.communicate()
        if self._child.returncode == 0 and done:
            self._tell("The page's libraries are installed: it shows Markdown from now on.\n")
        elif self._child.returncode > 0:
            last_line = trouble.strip().rpartition("\n")[2]
            self._tell(f"The page shows plain text, its libraries cannot be fetched: {last_line}\n")
