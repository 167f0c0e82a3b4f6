"""What is measured: the processes between the load generator and the model server, started and stopped."""

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

NGINX: Final = "two nginx"
CHAT_BODY: Final = '{"model":"bench","messages":[{"role":"user","content":"PROMPT"}]}'
START_S: Final = 30.0
STOP_S: Final = 5.0


@dataclass(frozen=True)
class Contender:
    """One that runs.

    Args:
        hops: the process ids of each hop, by its name, the one beside the client first.
        port, path, body: how it is asked; the load generator writes its words in place of PROMPT.
        headers: more lines of each request, each with its CRLF.
        metrics: addresses that are scraped while it is measured.
    """

    name: str
    port: int
    path: str
    body: str = CHAT_BODY
    hops: Mapping[str, Sequence[int]] = field(default_factory=dict)
    metrics: Sequence[str] = ()
    headers: str = ""

    @property
    def pids(self) -> list[int]:
        """The processes of all hops."""
        return [pid for pids in self.hops.values() for pid in pids]


class CannotStart(Exception):
    """A contender did not come up; the message says what it said."""


@contextlib.contextmanager
def process(
    command: Sequence[str], *, log: Path, cwd: Path, environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process whose words go to the file ``log``; at the end it is told to end, then made to."""
    with log.open("wb") as words:
        child = subprocess.Popen(
            command, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_for_answer(url: str, child: subprocess.Popen[bytes], log: Path, *, within_s: float = START_S) -> None:
    """Return when ``url`` is answered with 200.

    Raises:
        CannotStart: the process ended, or it takes longer than ``within_s``.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 ours
            if answer.status == 200:
                return
        time.sleep(0.02)
    raise CannotStart(f"{url}: no answer; it said: {log.read_text(errors='replace')[-400:]}")


def clean_environ() -> dict[str, str]:
    """This process's environment without settings of ours and without asyncio's debug mode."""
    ours = ("SLUICE_", "PYTHONASYNCIODEBUG", "PYTHONPATH")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
