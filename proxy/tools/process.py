"""A process that serves tools over its stdin and stdout: one line of JSON a message.

The `mcp` package has such a transport, too. Refused: it keeps a line without an end whole in memory, logs what is in
lines that are no JSON-RPC, and does not tell whom it runs, so that a second signal could not kill it.
"""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, NoReturn, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCMessage, JSONRPCRequest, JSONRPCResponse, jsonrpc_message_adapter

from proxy.tools.watcher import Watcher
from services.runtime.tasks import Tasks
from services.wire import json_text

LINE_BYTES: Final = 8 << 20
"""Of one message: a picture has room, for it is left out only when it has been read."""
MOST_ASKED: Final = 64
"""Requests of its own that wait for an answer: one that asks on and reads none would fill the memory."""
ERROR_LINE_BYTES: Final = 4096
POLITE_S: Final = 2.0
"""Between the end of its stdin, SIGTERM and SIGKILL: what the protocol asks for."""
HURRIED_S: Final = 0.25
"""Likewise, where the proxy itself ends."""
LOOK_S: Final = 0.01
_INHERITED: Final = ("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER")
"""What every program expects of its environment, and no secret is in; the `mcp` package hands on the same."""


class Messages:
    """What a process says, as the client session reads it."""

    def __init__(self, stream: asyncio.StreamReader, ended: Callable[[], None]) -> None:
        self._stream = stream
        self._ended = ended
        self._asked = 0

    def answered(self) -> None:
        """A request of its own was answered."""
        self._asked -= 1

    async def receive(self) -> SessionMessage | Exception:
        """Return the next message; what is none is an exception, and no secret of it is kept.

        Raises:
            anyio.EndOfStream: the process closed its stdout, wrote a line that is too long, or asks without end.
        """
        await asyncio.sleep(0)  # a line that is at hand takes no turn of the loop: many would hold up every stream
        try:
            line = await self._stream.readline()
        except (ValueError, ConnectionError):  # ValueError: longer than LINE_BYTES
            line = b""
        if not line.endswith(b"\n"):
            self._end()
        try:
            message = _message_of(line)
        except ValueError:
            return ValueError("not JSON-RPC")
        self._asked += isinstance(message, JSONRPCRequest)
        if self._asked > MOST_ASKED:
            self._end()
        return SessionMessage(message)

    async def aclose(self) -> None:
        """Nothing is held: the process is ended by its owner."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hold nothing."""

    def _end(self) -> NoReturn:
        self._ended()
        raise anyio.EndOfStream


class Requests:
    """What a process is told.

    Args:
        answered: is told of each answer to a request of the process's own.
    """

    def __init__(self, stream: asyncio.StreamWriter, answered: Callable[[], None]) -> None:
        self._stream = stream
        self._answered = answered

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message, and wait while the process takes none.

        Raises:
            anyio.ClosedResourceError: it is gone.
        """
        text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        try:
            self._stream.write(text.encode() + b"\n")
            await self._stream.drain()
        except (OSError, RuntimeError):
            raise anyio.ClosedResourceError from None
        if isinstance(item.message, JSONRPCResponse | JSONRPCError):
            self._answered()

    async def aclose(self) -> None:
        """Nothing is held: the process is ended by its owner."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hold nothing."""


class ToolProcess:
    """One process in a group of its own, as a transport of the `mcp` package: entered it runs, left it is gone.

    Args:
        ended: is told when it says no more.
        complained: gets each line of its stderr.
    """

    def __init__(
        self,
        command: tuple[str, ...],
        environ: Mapping[str, str],
        cwd: str | None,
        *,
        ended: Callable[[], None],
        complained: Callable[[str], None],
    ) -> None:
        self._command = command
        self._environ = environ
        self._cwd = cwd
        self._ended = ended
        self._complained = complained
        self._process: Process | None = None
        self._watcher: Watcher | None = None
        self._tasks = Tasks()
        self._complaints: asyncio.Task[None] | None = None
        self._in_a_hurry = False

    async def __aenter__(self) -> tuple[Messages, Requests]:
        """Start it.

        Raises:
            OSError: there is no such program, or folder.
        """
        watcher = self._watcher = await Watcher.start()
        try:
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                env=dict(self._environ),
                cwd=self._cwd,
                start_new_session=True,
                limit=LINE_BYTES,
            )
        except BaseException:
            await watcher.dismiss()
            raise
        watcher.watch(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._complaints = self._tasks.spawn(self._read_errors(process.stderr), f"stderr of {self._command[0]}")
        messages = Messages(process.stdout, self._says_no_more)
        return messages, Requests(process.stdin, messages.answered)

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, however often this is cancelled meanwhile: the package does so more than once."""
        ending = self._tasks.spawn(self._end(), f"end of {self._command[0]}")
        was_cancelled = False
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError:
                was_cancelled = True
        if was_cancelled:
            raise asyncio.CancelledError

    async def _end(self) -> None:
        """End it by the end of its stdin, by SIGTERM, by SIGKILL, and whom it has started by the last."""
        process, watcher, complaints = self._process, self._watcher, self._complaints
        assert process is not None
        assert process.stdin is not None
        assert watcher is not None
        assert complaints is not None
        process.stdin.close()
        if self._in_a_hurry:
            self._signal(signal.SIGTERM)
        if not await _gone(process, HURRIED_S if self._in_a_hurry else POLITE_S):
            self._signal(signal.SIGTERM)
            await _gone(process, HURRIED_S if self._in_a_hurry else POLITE_S)
        self.kill()
        await _gone(process, POLITE_S)  # it is dead, but a busy machine may take a while to say so
        await watcher.dismiss()
        complaints.cancel()
        await asyncio.wait({complaints})
        _close_pipes(process)

    def hurry(self) -> None:
        """Let it have little time for its end: who runs it ends, too, or it is of no use any more."""
        self._in_a_hurry = True
        self._close_stdin()

    def kill(self) -> None:
        """Kill it and whom it has started, without waiting."""
        self._signal(signal.SIGKILL)

    def _says_no_more(self) -> None:
        self.hurry()
        self._ended()

    def _close_stdin(self) -> None:
        """Close it, whatever of it is unread: who waits for it to be taken waits no more."""
        stdin = None if self._process is None else self._process.stdin
        if stdin is not None and not stdin.transport.is_closing():
            stdin.transport.abort()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # gone, or another's by now
                os.killpg(self._process.pid, number)

    async def _read_errors(self, stream: asyncio.StreamReader) -> None:
        """Hand on what it complains of, line by line; what is too long for a line is one of its own."""
        rest = b""
        while piece := await stream.read(ERROR_LINE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > ERROR_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._complained(line[:ERROR_LINE_BYTES].decode(errors="replace").strip())


def environ_of(env: Mapping[str, str], env_from: tuple[str, ...]) -> dict[str, str]:
    """Return the environment of a process: what every program expects, and what its operator gives it."""
    handed_on = {name: os.environ[name] for name in (*_INHERITED, *env_from) if name in os.environ}
    return {**handed_on, **env}


def _message_of(line: bytes) -> JSONRPCMessage:
    """Return the message of a line; half of a surrogate pair in it is U+FFFD.

    Raises:
        ValueError: it is none.
    """
    try:
        return jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        return jsonrpc_message_adapter.validate_python(json_text.loads(line), by_name=False)


async def _gone(process: Process, within_s: float) -> bool:
    """Return whether it ends within the time: looked at, for `wait` waits for whoever has inherited its pipes, too."""
    deadline = asyncio.get_running_loop().time() + within_s
    while process.returncode is None:
        if asyncio.get_running_loop().time() >= deadline:
            return False
        await asyncio.sleep(LOOK_S)
    return True


def _close_pipes(process: Process) -> None:
    """Close what a process of another group, which this one has started, would hold open; nothing public does."""
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()
