"""`sluice` as a script runs it: no terminal on any end."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.chain import ROOT
from tests.termchat.person import environment


@dataclass
class Done:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Of a run with --json."""
        return [json.loads(line) for line in self.out.split("\n") if line]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "services.termchat", *arguments]


def sluice(*arguments: str, url: str, piped: bytes = b"", **environ: str) -> Done:
    """Run it to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(SLUICE_TERM_URL=url, **environ),
        input=piped,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


async def run(*arguments: str, url: str, **environ: str) -> Done:
    """Run it to its end while the test's own servers answer."""
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        cwd=ROOT,
        env=environment(SLUICE_TERM_URL=url, **environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


@contextlib.contextmanager
def running(*arguments: str, url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run it beside the test."""
    with subprocess.Popen(
        command(*arguments),
        cwd=ROOT,
        env=environment(SLUICE_TERM_URL=url),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
