"""What ends a server of tools when the proxy was killed, and so can end nobody: one small process for each of them.

It waits for the end of its stdin, which only the proxy holds, and then kills the server's whole group. It is a Python
without anything, 4 MB of its own: the image has no shell.
Refused: PR_SET_PDEATHSIG in the server itself, whether by `setpriv`, by a program of ours that becomes the server, or
by `preexec_fn` (Python between fork and exec of a process with threads). Linux alone has it; no child inherits it, so
what npx, uvx or a script has started would live on; and it tells of the death of the thread that forked. Refused, too:
one watcher for all servers, which would have to keep a list.
"""

import asyncio
import contextlib
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from typing import Final

_SCRIPT: Final = """
import os, signal, sys
for number in signal.SIGHUP, signal.SIGINT, signal.SIGTERM:
    signal.signal(number, signal.SIG_IGN)
if group := sys.stdin.readline():
    sys.stdin.read()
    os.killpg(int(group), signal.SIGKILL)
"""
"""Without a first line there is nobody to be killed; no other comes, but the end does."""


class Watcher:
    """A process that kills a group if this process dies before it has dismissed it.

    Between the start of a server and :meth:`watch` nobody watches: that is a millisecond.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def start(cls) -> "Watcher":
        """Start it; it watches nobody yet.

        Raises:
            OSError: it cannot be started.
        """
        # a session of its own: what is told to the proxy's group, as by Ctrl-C, is not told to it
        alone = (sys.executable, "-I", "-S", "-c", _SCRIPT)
        process = await asyncio.create_subprocess_exec(
            *alone, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, env={}, start_new_session=True
        )
        return cls(process)

    def watch(self, group: int) -> None:
        """Watch a process group, by its id."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % group)

    async def dismiss(self) -> None:
        """End it, and nobody else."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()  # before the end of its stdin can be seen
        await self._process.wait()
