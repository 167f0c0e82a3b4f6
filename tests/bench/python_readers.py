"""The load generator in Python, where there is no C compiler: orders and report of native/readers.c."""

import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import httptools
import uvloop

from tests.bench.load import Load

_WORDS: Final = {"port", "path", "body", "headers", "phases"}  # orders that are no number of Load's
FOR_EVER: Final = 1 << 30
PROBE: Final = Load(requests=FOR_EVER, tokens=2, pause_ms=20)
_STAMP: Final = re.compile(rb"([@#])(\d+)(?=\D)")
_LAST_WORDS: Final = (b"event: done", b'"done":true', b'"done": true', b"data: [DONE]")
_CARRIED: Final = 64  # bytes of a read that the next one is looked at with: a stamp or a last word may be cut
PAGE_KIB: Final = 4


def cpu_ns(pid: int) -> int:
    """User and kernel time of a process: its own clock, whose number the kernel makes of its id."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def resident_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB


class Tally:
    """What readers saw in one phase."""

    def __init__(self, pids: list[int]) -> None:
        self._pids, self._began_s = pids, time.monotonic()
        self._cpu_ns = [cpu_ns(pid) for pid in pids]
        self._resident_kib = [resident_kib(pid) for pid in pids]
        self.counts = dict.fromkeys(("bytes", "tokens", "asked", "whole", "broken", "refused", "left"), 0)
        self.samples: dict[str, list[float]] = {name: [] for name in ("delay_us", "gap_us", "first_us", "added_us")}
        self.told: dict[str, Any] = {}

    def end(self) -> None:
        """Take the figures of the processes; percentiles can wait."""
        used = {str(pid): cpu_ns(pid) - before for pid, before in zip(self._pids, self._cpu_ns, strict=True)}
        held = {str(pid): [kib, resident_kib(pid)] for pid, kib in zip(self._pids, self._resident_kib, strict=True)}
        self.told = {"seconds": time.monotonic() - self._began_s, "cpu_ns": used, "resident_kib": held}

    def report(self) -> dict[str, Any]:
        return {**self.told, **self.counts, **{name: percentiles(values) for name, values in self.samples.items()}}


def percentiles(values: list[float]) -> dict[str, float]:
    """Of nearest rank, as native/samples.c has them."""
    ordered = sorted(values)
    ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    last = len(ordered) - 1
    found = {name: ordered[min(last, int(rank * len(ordered)))] if ordered else 0.0 for name, rank in ranks.items()}
    return {"count": len(ordered), **found}


class Run:
    """The run's phases and readers."""

    def __init__(self, orders: dict[str, str], pids: list[int]) -> None:
        given: dict[str, Any] = {name: int(text) for name, text in orders.items() if name not in _WORDS}
        self.load = Load(**given)
        self.port, self.path, self.body = int(orders["port"]), orders["path"], orders["body"]
        self.headers = orders.get("headers", "")
        self._phases = [
            (name, int(ms)) for name, _, ms in (one.partition(":") for one in orders["phases"].split(",")) if ms
        ]
        self._pids = pids
        self._finished = 0
        self._numbers: Iterator[int] = iter(range(1, FOR_EVER))
        self.over = asyncio.Event()
        self.tallies: dict[str, Tally] = {}
        self.whole = Tally(pids)
        self._enter("open")
        self.streams = self.load.streams

    def next_stream(self) -> int:
        return next(self._numbers)

    def count(self, what: str, amount: int = 1) -> None:
        self.whole.counts[what] += amount
        self.phase.counts[what] += amount

    def sample(self, what: str, ns: int) -> None:
        self.whole.samples[what].append(ns / 1e3)
        self.phase.samples[what].append(ns / 1e3)

    def reader_finished(self) -> None:
        self._finished += 1
        if self._finished >= self.streams:
            self.over.set()

    async def run(self) -> dict[str, Any]:
        """Run it; return the report."""
        load, loop = self.load, asyncio.get_running_loop()
        readers = [Reader(self, self._of_reader(number)) for number in range(load.streams)]
        for number, reader in enumerate(readers):
            loop.call_later(number * load.open_ms / 1000 / load.streams, reader.ask)
        async with asyncio.TaskGroup() as tasks:
            phases = tasks.create_task(self._go_through_phases(readers))
            with contextlib.suppress(TimeoutError):  # who is not finished then is told
                await asyncio.wait_for(self.over.wait(), load.deadline_ms / 1000)
            phases.cancel()
        for tally in (self.phase, self.whole):
            tally.end()
        told = {name: tally.report() for name, tally in (*self.tallies.items(), ("whole", self.whole))}
        own_ns = time.process_time_ns()
        return {"streams": self.streams, "finished": self._finished, "own_cpu_ns": own_ns, "phases": told}

    def _of_reader(self, number: int) -> Load:
        load = self.load
        if number > 0 or not load.stall_rate:
            return load
        return Load(tokens=load.tokens * load.stall_rate // load.rate, rate=load.stall_rate)

    async def _go_through_phases(self, readers: list["Reader"]) -> None:
        await asyncio.sleep(self.load.open_ms / 1000)
        self.phase.end()
        for name, length_ms in self._phases:
            self._enter(name)
            guest = readers[0] if name == "stall" else Reader(self, PROBE) if name == "probe" else None
            if name == "stall":
                readers[0].stall()
            elif guest is not None:
                self.streams += 1
                guest.ask()
            await asyncio.sleep(length_ms / 1000)
            self.phase.end()
            if guest is not None:
                guest.cut()
        self._enter("rest")
        for reader in readers if self.load.cut and self._phases else ():
            reader.cut()

    def _enter(self, name: str) -> None:
        self.phase = self.tallies[name] = Tally(self._pids)


class Wire(asyncio.Protocol):
    """One connection of a reader, until it hangs up: what comes then is nobody's."""

    def __init__(self, reader: "Reader") -> None:
        self.reader: Reader | None = reader

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none by name
        if self.reader is not None:
            self.reader.send(self)
        else:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.reader is not None:
            self.reader.read(data)

    def connection_lost(self, _: Exception | None) -> None:
        if self.reader is not None:
            self.reader.lost()

    def hang_up(self) -> None:
        self.reader = None
        if hasattr(self, "transport"):
            self.transport.abort()


class Reader:
    """A client of the chain: asks, reads, and measures what it reads."""

    def __init__(self, run: Run, load: Load) -> None:
        self._run, self._load, self._requests = run, load, load.requests
        self._wire: Wire | None = None
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None

    def ask(self) -> None:
        """Ask once more."""
        self._requests -= 1
        self._stream, self._received, self._last_ns, self._arrived_ns = self._run.next_stream(), 0, 0, 0
        self._carried, self._over, self._reading = b"", False, True
        self._parser = httptools.HttpResponseParser(self)
        self._run.count("asked")
        self._sent_ns = time.monotonic_ns()
        if self._wire is not None:
            self.send(self._wire)
            return
        wire = self._wire = Wire(self)
        loop = asyncio.get_running_loop()
        self._connecting = loop.create_task(loop.create_connection(lambda: wire, "127.0.0.1", self._run.port))

    def stall(self) -> None:
        """Stop reading, and keep the connection."""
        if self._wire is not None:
            self._wire.transport.pause_reading()

    def cut(self) -> None:
        """Leave, and ask no more."""
        pausing, self._requests = not self._reading and self._requests > 0, 0
        if self._reading:
            self._leave()
        elif pausing:
            self._go_on()

    def send(self, wire: Wire) -> None:
        """Write the request: there is a connection."""
        load, run = self._load, self._run
        prompt = f"tokens={load.tokens} rate={load.rate} wait={run.load.wait_ms} stream={self._stream}"
        body = run.body.replace("PROMPT", prompt)
        head = f"POST {run.path} HTTP/1.1\r\nHost: 127.0.0.1:{run.port}\r\nContent-Type: application/json\r\n"
        wire.transport.write(f"{head}{run.headers}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        if run.load.leave_ms:
            self._timer = asyncio.get_running_loop().call_later(run.load.leave_ms / 1000, self._leave)

    def read(self, data: bytes) -> None:
        """Take in what came."""
        self._read_ns = time.monotonic_ns()
        self._run.count("bytes", len(data))
        self._parser.feed_data(data)
        if self._reading and self._run.load.leave_tokens and self._received >= self._run.load.leave_tokens:
            self._leave()

    def lost(self) -> None:
        """The connection is gone."""
        self._wire = None
        if self._reading:
            self._run.count("broken")
            self._go_on()

    def on_body(self, body: bytes) -> None:
        """httptools: a piece of the body."""
        seen, taken = self._carried + body, 0
        self._over = self._over or any(word in seen for word in _LAST_WORDS)
        for stamp in _STAMP.finditer(seen):
            taken, number = stamp.end(), int(stamp[2])
            if stamp[1] == b"#":
                self._arrived_ns = number
            else:
                self._token(number)
        self._carried = seen[max(taken, len(seen) - _CARRIED) :]

    def on_message_complete(self) -> None:
        """httptools: the answer is whole."""
        refused = self._parser.get_status_code() != 200
        self._run.count("refused" if refused else "whole" if self._over else "broken")
        self._go_on()

    def _token(self, sent_ns: int) -> None:
        run, read_ns = self._run, self._read_ns
        run.count("tokens")
        run.sample("delay_us", read_ns - sent_ns)
        if self._received == 0:
            run.sample("first_us", read_ns - self._sent_ns)
            run.sample("added_us", read_ns - self._sent_ns - (sent_ns - self._arrived_ns))
        else:
            run.sample("gap_us", read_ns - self._last_ns)
        self._received += 1
        self._last_ns = read_ns

    def _leave(self) -> None:
        self._run.count("left")
        print(f"left {self._stream} {time.monotonic_ns()}", file=sys.stderr, flush=True)
        self._hang_up()
        self._go_on()

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.hang_up()
            self._wire = None

    def _go_on(self) -> None:
        """The answer is over, one way or another: ask again, or be done."""
        self._reading = False
        if self._timer is not None:
            self._timer.cancel()
        if self._requests > 0:
            self._timer = asyncio.get_running_loop().call_later(self._load.pause_ms / 1000, self.ask)
            return
        self._hang_up()
        self._run.reader_finished()


async def main(arguments: list[str]) -> None:
    """Run the orders and print the report."""
    given = [one.partition("=")[::2] for one in arguments]
    pids = [int(value) for name, value in given if name == "cpu"]
    run = Run({name: value for name, value in given if name != "cpu"}, pids)
    print(json.dumps(await run.run()))


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
