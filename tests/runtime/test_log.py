"""Lines as they leave a process, and a writer whose reader stalls."""

import json
import os
import pty
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from services.runtime.log import FLUSH_S, MAX_HELD_BYTES, LogWriter
from tests.eventually import eventually


class Pipe:
    """A log writer and the reader's end of its pipe."""

    def __init__(self, max_lines: int = 10_000) -> None:
        self._reader: int | None
        self._reader, self._end = os.pipe()
        self.writer = LogWriter(self._end, max_lines)

    def read(self) -> bytes:
        assert self._reader is not None
        return os.read(self._reader, 65536)

    def rest(self) -> bytes:
        """Close the writer; return all that it wrote."""
        self.writer.close()
        os.close(self._end)
        self._end = -1
        return b"".join(iter(self.read, b""))

    def leave(self) -> None:
        """The reader goes; a thread that hangs in the pipe is let go."""
        if self._reader is not None:
            os.close(self._reader)
            self._reader = None

    def stall(self) -> None:
        """Give the writer's thread more than a pipe holds: it hangs there."""
        self.writer.write(b"x" * (1 << 20))
        eventually(lambda: self.writer.held_bytes == 0, "it is written")

    def make_non_blocking(self) -> None:
        os.set_blocking(self._end, False)

    def close(self) -> None:
        self.leave()
        self.writer.close()
        if self._end >= 0:
            os.close(self._end)


MakePipe = Callable[..., Pipe]


@pytest.fixture
def pipe() -> Iterator[MakePipe]:
    pipes: list[Pipe] = []

    def make(max_lines: int = 10_000) -> Pipe:
        pipes.append(Pipe(max_lines))
        return pipes[-1]

    yield make
    for one in pipes:
        one.close()


def logged(script: str, *configured: str, stdout: int = subprocess.PIPE) -> list[dict[str, Any]]:
    """Run ``script`` after configure() in a process of its own; return its lines."""
    level, line_format = configured or ("info", "json")
    program = f"""
import logging, warnings, structlog
from services.runtime.log import configure
writer = configure({level!r}, {line_format!r}, service="tiny", version="1", instance="me")
log = structlog.get_logger()
{textwrap.dedent(script)}
writer.close()
"""
    done = subprocess.run([sys.executable, "-c", program], stdout=stdout, check=True, timeout=20)
    return [json.loads(line) for line in (done.stdout or b"").split(b"\n") if line]


def test_a_line_is_json_with_level_time_and_who_says_it() -> None:
    (line,) = logged('log.info("stream.finished", reason="stop", ttft_ms=1.5)')

    assert line.pop("ts").endswith("Z")
    assert line == {
        "event": "stream.finished",
        "level": "info",
        "reason": "stop",
        "ttft_ms": 1.5,
        "service": "tiny",
        "version": "1",
        "instance": "me",
    }


def test_what_is_bound_to_the_context_is_in_the_line() -> None:
    (line,) = logged('structlog.contextvars.bind_contextvars(request_id="r1"); log.info("x")')

    assert line["request_id"] == "r1"


@pytest.mark.parametrize(("level", "shown"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_lines_below_the_level_are_not_written(level: str, shown: int) -> None:
    assert len(logged('log.debug("x"); log.info("x"); log.warning("x")', level, "json")) == shown


def test_lines_of_libraries_and_warnings_take_the_same_way() -> None:
    lines = logged("""
        logging.getLogger("aiohttp.server").warning("odd %s", "request")
        logging.getLogger("aiohttp.access").info("a library's info is not ours to show")
        warnings.warn("old call")
    """)

    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "aiohttp.server"),
        ("warning", "py.warnings"),
    ]
    assert lines[0]["event"] == "odd request"


def test_an_exception_is_its_places_and_types_without_what_it_says() -> None:
    (line,) = logged("""
        def parse():
            raise ValueError("canary-4711")
        try:
            try:
                parse()
            except ValueError as exc:
                raise RuntimeError("canary-4711") from exc
        except RuntimeError:
            log.exception("failed")
    """)

    assert line["level"] == "error"
    assert "in parse" in line["exception"]
    assert [word for word in line["exception"].split("\n") if word.startswith("builtins.")] == [
        "builtins.ValueError",
        "builtins.RuntimeError",
    ]
    assert "canary" not in str(line)


def test_exceptions_that_are_each_other_s_context_are_told_once() -> None:
    (line,) = logged("""
        a, b = ValueError(), KeyError()
        a.__context__, b.__context__ = b, a
        log.error("failed", exc_info=a)
    """)

    assert line["exception"] == "builtins.KeyError\nbuiltins.ValueError"


@pytest.mark.parametrize("value", [r"'\ud800'", "2 ** 80"])
def test_what_the_fast_encoder_refuses_is_written_all_the_same(value: str) -> None:
    (line,) = logged(f'log.info("odd", value={value})')

    assert line["value"] == eval(value)  # noqa: S307 the two literals above


@pytest.mark.parametrize(("line_format", "is_json"), [("auto", False), ("console", False), ("json", True)])
def test_on_a_terminal_auto_means_console(line_format: str, is_json: bool) -> None:
    terminal, inner = pty.openpty()
    try:
        logged('log.info("hello", model="m")', "info", line_format, stdout=inner)
        text = os.read(terminal, 65536).decode()
    finally:
        os.close(inner)
        os.close(terminal)

    assert "hello" in text
    assert text.startswith("{") is is_json


def test_in_a_pipe_auto_means_json() -> None:
    assert logged('log.info("hello")', "info", "auto")[0]["event"] == "hello"


def test_lines_come_out_whole_and_in_order(pipe: MakePipe) -> None:
    log = pipe()

    for number in range(1000):
        log.writer.write(b"%d" % number)

    assert log.rest() == b"".join(b"%d\n" % number for number in range(1000))
    assert log.writer.dropped == 0


def test_a_stalled_reader_costs_lines_and_no_waiting(pipe: MakePipe) -> None:
    log = pipe(max_lines=10)

    log.stall()
    for _ in range(100):
        log.writer.write(b"more")

    assert log.writer.dropped == 90


def test_what_is_held_is_bounded_in_bytes_too(pipe: MakePipe) -> None:
    log = pipe()
    log.stall()

    for _ in range(MAX_HELD_BYTES >> 20):
        log.writer.write(b"x" * (1 << 20))
    before = log.writer.dropped
    log.writer.write(b"one more")

    assert (before, log.writer.dropped) == (0, 1)


def test_after_a_stall_the_log_goes_on(pipe: MakePipe) -> None:
    log = pipe()
    log.stall()

    while not log.read().endswith(b"\n"):
        continue
    log.writer.write(b"last")

    assert log.rest() == b"last\n"


def test_closing_gives_up_on_a_reader_that_takes_nothing(pipe: MakePipe) -> None:
    log = pipe()
    log.stall()

    began = time.monotonic()
    log.writer.close()

    assert time.monotonic() - began >= FLUSH_S


def test_a_line_after_close_is_counted_as_dropped(pipe: MakePipe) -> None:
    log = pipe()
    log.writer.close()

    log.writer.write(b"late")

    assert log.writer.dropped == 1


def test_a_reader_that_is_gone_is_counted_and_harms_nobody(pipe: MakePipe) -> None:
    log = pipe()
    log.leave()

    log.writer.write(b"into the void")
    log.writer.close()

    assert log.writer.dropped == 1


def test_a_descriptor_that_somebody_made_non_blocking_loses_nothing(pipe: MakePipe) -> None:
    log = pipe()
    log.make_non_blocking()
    text = b"x" * 300_000  # more than a pipe holds

    log.writer.write(text)
    got = b""
    while not got.endswith(b"\n"):
        got += log.read()

    assert got == text + b"\n"
