"""Structured log lines, written by one thread so that a stalled pipe never makes the event loop wait.

    structlog and stdlib logging -> processors -> JSON bytes -> LogWriter's bounded queue -> its thread -> stdout

What an exception says is left out of its traceback: a validation error quotes its input, and the input is a prompt.
"""

import json
import logging
import os
import select
import sys
import threading
import traceback
from collections import deque
from typing import Any, Final

import orjson
import structlog
from aiohttp.http_exceptions import HttpProcessingError
from structlog.typing import EventDict, Processor, WrappedLogger

MAX_LINES: Final = 10_000  # at two lines a stream, some minutes of a stalled reader
MAX_HELD_BYTES: Final = 8 << 20  # ten thousand lines of an ordinary length; long tracebacks meet this bound first
PERIOD_S: Final = 0.05  # lines leave twenty times a second: a crash loses no more, and a busy loop is woken no oftener
LEVELS: Final = ("debug", "info", "warning", "error", "critical")
FLUSH_S: Final = 1.0  # a reader that takes nothing for so long at the end will not take the rest


class LogWriter:
    """A bounded queue of lines in front of a file descriptor, emptied by one daemon thread.

    ``dropped`` counts the lines that were lost, ``by_level`` those that were made; ``held_bytes`` are those of the
    lines that wait for the thread.

    Args:
        fd: written to as it is, blocking or not; it stays open.
        max_lines: lines held at most; beyond it, or beyond ``MAX_HELD_BYTES``, new lines are dropped and counted.
    """

    def __init__(self, fd: int, max_lines: int = MAX_LINES) -> None:
        self.dropped = 0
        self.by_level = dict.fromkeys(LEVELS, 0)
        self._fd = fd
        self._max_lines = max_lines
        self._lines: deque[bytes] = deque()
        self.held_bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Hand over one line, newline excluded; never waits for the reader."""
        with self._changed:
            full = len(self._lines) >= self._max_lines or self.held_bytes + len(line) > MAX_HELD_BYTES
            if full or self._closed:
                self.dropped += 1
                return
            self._lines.append(line)
            self.held_bytes += len(line)
            if len(self._lines) == 1:  # for every line it would wake the thread, and take the GIL
                self._changed.notify()

    def close(self) -> None:
        """Write what is held, for ``FLUSH_S`` at most; later lines are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(FLUSH_S)

    def _run(self) -> None:
        while (lines := self._take()) or not self._closed:
            try:
                _write_all(self._fd, b"".join(line + b"\n" for line in lines))
            except OSError:  # the reader is gone: the process goes on without a log
                with self._changed:
                    self.dropped += len(lines)

    def _take(self) -> list[bytes]:
        """Return what has gathered within a period of the first line; the closed writer's last lines at once."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed)  # a process with nothing to say sleeps
            self._changed.wait_for(lambda: self._closed, PERIOD_S)
            lines = list(self._lines)
            self._lines.clear()
            self.held_bytes = 0
            return lines


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:  # stdout may be shared with somebody who made it non-blocking
            select.select([], [fd], [])


class _ToWriter:
    """What structlog calls with a finished line, whatever its level."""

    def __init__(self, writer: LogWriter) -> None:
        self._write = writer.write

    def msg(self, line: bytes | str) -> None:
        self._write(line if isinstance(line, bytes) else line.encode("utf-8", "replace"))

    debug = info = warning = error = critical = exception = log = msg


class _FromStdlib(logging.Handler):
    """Send the lines of aiohttp, asyncio and warnings the way of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        level, exc_info = record.levelno, record.exc_info or None
        if exc_info and isinstance(exc_info[1], HttpProcessingError):
            # Bytes that are no request: aiohttp calls them an error, with a traceback, and anybody can send them.
            level, exc_info = logging.DEBUG, None
        structlog.get_logger().log(level, record.getMessage(), logger=record.name, exc_info=exc_info)


def configure(level: str, line_format: str, *, service: str, version: str, instance: str) -> LogWriter:
    """Send every log line of this process to stdout; return the writer, which the process closes last.

    Args:
        level: debug, info, warning or error.
        line_format: json, console, or auto (console if stdout is a terminal).
        service: with ``version`` and ``instance`` in every line: who says it.
        version: of the program.
        instance: which of several.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    writer = LogWriter(sys.stdout.fileno())
    console = line_format == "console" or (line_format == "auto" and sys.stdout.isatty())
    structlog.configure(
        processors=_processors({"service": service, "version": version, "instance": instance}, writer, console=console),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _ToWriter(writer),
        cache_logger_on_first_use=True,
    )
    # a library's info lines are about itself; its warnings are about us
    logging.basicConfig(handlers=[_FromStdlib()], level=max(number, logging.WARNING), force=True)
    logging.captureWarnings(True)
    return writer


def _processors(identity: dict[str, str], writer: LogWriter, *, console: bool) -> list[Processor]:
    def count(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        writer.by_level[line["level"]] += 1
        return line

    def add_identity(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        return {**line, **identity}

    renderer: Processor = structlog.processors.JSONRenderer(serializer=_to_json)
    if console:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        count,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _render_exception,
        *([] if console else [add_identity]),  # on a terminal it is noise: there is one process
        renderer,
    ]


def _render_exception(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Turn ``exc_info`` into types and places; see the module's docstring for what is left out."""
    exc_info = line.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    exc = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(exc, BaseException):
        line["exception"] = "\n".join(_chain(exc))
    return line


def _chain(exc: BaseException) -> list[str]:
    """Return the frames and the type of ``exc``, after those of what it came from."""
    seen: set[int] = set()
    parts: list[str] = []
    link: BaseException | None = exc
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = "".join(traceback.format_tb(link.__traceback__))
        parts.insert(0, f"{frames}{type(link).__module__}.{type(link).__qualname__}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return parts


def _to_json(line: EventDict, **options: Any) -> bytes:
    try:
        return orjson.dumps(line, **options)
    except TypeError:  # a lone surrogate or a huge number: a log line must not fail its caller
        return json.dumps(line, **options).encode("ascii")
