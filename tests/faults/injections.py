"""What each case does to a chain of its own, and the numbers that it measures; :data:`INJECTIONS` has them by name."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.behaviour.connections import sample
from tests.behaviour.gate import common_gate, total
from tests.behaviour.script import scripted
from tests.behaviour.slow_crowd import readers_that_stop
from tests.behaviour.socket_client import TINY_BUFFER_BYTES, SocketClient
from tests.chain import ROOT, Chain, Server, running_chain
from tests.eventually import soon
from tests.faults.cases import LOGS_TOTAL_BYTES, MIB, STREAM_BYTES
from tests.ports import free_ports
from tests.reader import Answer, Client

Measured = dict[str, float]
HEARTBEAT_S: Final = 0.3
SPEAKS_AFTER_S: Final = 2.0  # by then everybody has asked
UID: Final = 65532
PROCESSES: Final = 256
FORGED: Final = "203.0.113.77"
PATIENT: Final = {
    "CONNECT_TIMEOUT_S": "10",
    "IDLE_TIMEOUT_S": "60",
    "FIRST_TOKEN_TIMEOUT_S": "60",
    "TOTAL_TIMEOUT_S": "90",
    "GRACE_S": "60",
}


@dataclass(frozen=True)
class Injection:
    """One: the settings of its chain, and what is done and measured there."""

    measure: Callable[[Chain], Coroutine[Any, Any, Measured]]
    simulator: Mapping[str, str] = field(default_factory=dict)
    proxy: Mapping[str, str] = field(default_factory=dict)
    gateway: Mapping[str, str] = field(default_factory=dict)
    growth_bytes: int = 64 << 20

    def run(self) -> Measured:
        """Do it against a chain of its own, hold the chain to the gate, and return what was measured.

        Raises:
            AssertionError: the gate was not passed.
        """
        simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "512", **self.simulator}
        with (
            running_chain(simulator=simulator, proxy=self.proxy, gateway=self.gateway) as chain,
            common_gate(chain, growth_bytes=self.growth_bytes),
        ):
            return asyncio.run(self.measure(chain))


def _count(answers: Sequence[Answer], reason: str) -> int:
    return sum(answer.status == 200 and answer.reason == reason for answer in answers)


async def two_hundred_stop(chain: Chain) -> Measured:
    """Let two hundred readers of long answers stop reading in the same moment."""
    stopped = await readers_that_stop(chain, [f"case-slow-reader-{number:03}" for number in range(200)], within_s=30.0)
    return {
        "bytes held for each": stopped.bytes_each,
        "readers cut": stopped.ends.count(["slow_client"]),
        "seconds until all are cut": stopped.took_s,
        "others served meanwhile": stopped.others.count("stop"),
    }


async def huge_tokens(chain: Chain) -> Measured:
    """Ask for five hundred answers of a megabyte, and read none of them."""
    models = [scripted(tokens=6, size=65_000, rate=4) for _ in range(500)]
    names = [f"case-huge-tokens-{number:03}" for number in range(len(models))]
    before, most = chain.proxy.resident_bytes(), 0

    def all_have_ended() -> bool:
        nonlocal most
        most = max(most, chain.proxy.resident_bytes())
        return len(chain.proxy.events("stream.finished")) >= len(models)

    async with AsyncExitStack() as stack:
        tiny = [SocketClient.connected(chain.gateway.port, receive_buffer_bytes=TINY_BUFFER_BYTES) for _ in models]
        clients = [await stack.enter_async_context(client) for client in tiny]
        for client, model, name in zip(clients, models, names, strict=True):
            await client.chat(model.name, name, on_disconnect="continue")
        await soon(all_have_ended, "every answer has ended", within_s=80.0)
    ends = [line["reason"] for line in chain.proxy.events("stream.finished") if line["request_id"] in names]
    asked = {model.name for model in models}
    calls = [call for call in chain.witness()["calls"] if call["model"] in asked]
    await soon(lambda: sample(chain.gateway, "llm_streams_active") == 0, "every reader is cut", within_s=20.0)
    return {
        "proxy grew, MiB": (most - before) / MIB,
        "answers that the model finished": sum(call["end"] == "answered" for call in calls),
        "answers that ended stop": ends.count("stop"),
    }


async def starved_processor(chain: Chain) -> Measured:
    """Stop both servers for four fifths of the time, and measure how long a reader hears nothing."""
    over = threading.Event()
    longest, answers = 0.0, []

    def starve() -> None:
        while not over.is_set():
            for word, for_s in ((signal.SIGSTOP, 0.08), (signal.SIGCONT, 0.02)):
                chain.proxy.signal(word)
                chain.gateway.signal(word)
                time.sleep(for_s)

    async def listen(number: int) -> None:
        nonlocal longest
        async with SocketClient.connected(chain.gateway.port) as client:
            await client.chat(scripted(tokens=4, rate=0.7).name, f"case-starved-{number:02}")
            heard_at = None
            while await client.read():
                now = time.monotonic()
                longest = max(longest, now - (heard_at or now))
                heard_at = now
            answers.append(client.answer)

    starving = threading.Thread(target=starve)
    starving.start()
    try:
        await asyncio.gather(*(listen(number) for number in range(50)))
    finally:
        over.set()
        starving.join()
    whole = _count(answers, "stop") + sum(answer.status == 503 for answer in answers)
    return {"longest silence, in heartbeats": longest / HEARTBEAT_S, "answers that are whole or refused": whole}


async def half_of_all_fail(chain: Chain) -> Measured:
    """Ask two hundred questions, every other of a model whose server is always busy."""
    good = [scripted(tokens=10) for _ in range(100)]
    bad = [scripted(tokens=10, status=503) for _ in range(100)]
    async with Client(chain.gateway.url) as client:
        answers = await asyncio.gather(
            *(client.chat(model.name) for pair in zip(good, bad, strict=True) for model in pair)
        )
    calls = chain.witness()["calls"]
    asked = {model.name: sum(call["model"] == model.name for call in calls) for model in (*good, *bad)}
    return {
        "calls for each that is refused": max(asked[model.name] for model in bad),
        "calls for each that is not": max(asked[model.name] for model in good),
        "good answers": _count(answers, "stop"),
        "refused as upstream_unavailable": sum(
            (answer.reason if answer.status == 200 else answer.error["code"]) == "upstream_unavailable"
            for answer in answers
        ),
    }


async def no_rights(chain: Chain) -> Measured:
    """Run a proxy and a gateway as nobody in particular, and ask them."""
    limits = ["prlimit", f"--nproc={PROCESSES}", "setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    limits += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    under = ["unshare", "--mount", "sh", "-c", 'mount -o remount,ro,bind / && exec "$@"', "sh", *limits]
    with _beside("proxy", chain.proxy_environ, under) as proxy:
        environ = {**chain.gateway_environ, "SLUICE_GATEWAY_PROXY_URL": proxy.url}
        with _beside("gateway", environ, under) as gateway:
            await soon(lambda: gateway.get("/readyz")[0] == 200, "it is ready", within_s=20.0)
            whole = await _asked(gateway, 50)
            fields, written = await asyncio.to_thread(_rights_of, gateway)
    return {
        "answers that are whole": whole,
        "places in the root that can be written": written,
        "capabilities": int(fields["CapEff"], 16) + int(fields["CapBnd"], 16),
        "user id": int(fields["Uid"].split()[0]),
    }


def _rights_of(server: Server) -> tuple[dict[str, str], int]:
    """Return the fields of its status, and in how many places of the root it can write."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.split("\n") if ":\t" in line)
    within = ["nsenter", f"--target={server.pid}", "--mount", f"--setuid={UID}", "sh", "-c"]
    tries = "for place in / /etc /root /usr . ; do touch $place/.written 2>/dev/null && echo $place; done"
    written = subprocess.run([*within, tries], capture_output=True, cwd=ROOT, check=False).stdout.split()
    return fields, len(written)


async def _asked(gateway: Server, times: int) -> int:
    """Ask so often, and return how many answers were whole."""
    models = [scripted(tokens=20) for _ in range(times)]
    async with Client(gateway.url) as client:
        answers = await asyncio.gather(*(client.chat(model.name) for model in models))
    return sum(answer.text == model.text for answer, model in zip(answers, models, strict=True))


@contextlib.contextmanager
def _beside(module: str, environ: Mapping[str, str], under: Sequence[str]) -> Iterator[Server]:
    server = Server(module, environ, under=under)
    try:
        yield server
    finally:
        server.stop()


async def full_disk(chain: Chain) -> Measured:
    """Let a proxy and a gateway write their log lines to a disk that is full."""
    ports = free_ports(4)
    proxy = {"SLUICE_PROXY_LISTEN": f"127.0.0.1:{ports[0]}", "SLUICE_PROXY_METRICS_LISTEN": f"127.0.0.1:{ports[1]}"}
    gateway = {
        "SLUICE_GATEWAY_LISTEN": f"127.0.0.1:{ports[2]}",
        "SLUICE_GATEWAY_METRICS_LISTEN": f"127.0.0.1:{ports[3]}",
    }
    gateway["SLUICE_GATEWAY_PROXY_URL"] = f"http://127.0.0.1:{ports[0]}"
    with (
        _unlogged("proxy", {**chain.proxy_environ, **proxy}),
        _unlogged("gateway", {**chain.gateway_environ, **gateway}),
    ):
        url = f"http://127.0.0.1:{ports[2]}"
        async with Client(url) as client:
            async with asyncio.timeout(20.0):
                while not await _is_ready(client):  # noqa: ASYNC110 another process is polled
                    await asyncio.sleep(0.05)
            models = [scripted(tokens=20) for _ in range(50)]
            answers = await asyncio.gather(*(client.chat(model.name) for model in models))
        await asyncio.sleep(0.2)  # lines leave a server twenty times a second
        lost = [await _lost_lines(port) for port in (ports[3], ports[1])]
    return {
        "answers that are whole": sum(a.text == model.text for a, model in zip(answers, models, strict=True)),
        "lines lost and counted, gateway": lost[0],
        "lines lost and counted, proxy": lost[1],
    }


@contextlib.contextmanager
def _unlogged(module: str, environ: Mapping[str, str]) -> Iterator[None]:
    with Path("/dev/full").open("wb") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", module], cwd=ROOT, env={**os.environ, **environ}, stdout=full, stderr=full
        )
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _is_ready(client: Client) -> bool:
    with contextlib.suppress(OSError):
        return (await client.get("/readyz")).status == 200
    return False


async def _lost_lines(port: int) -> float:
    async with Client(f"http://127.0.0.1:{port}") as client:
        page = (await client.get("/metrics")).body.decode()
    samples = (line.rpartition(" ") for line in page.split("\n") if line and not line.startswith("#"))
    return total({name: float(value) for name, _, value in samples}, "llm_log_dropped_total")


async def dripping_sockets(chain: Chain) -> Measured:
    """Open six hundred sockets that never come to a whole request, and ask beside them."""
    lines = [
        "POST /api/chat/stream HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Content-Length: 900",
    ]
    head = "\r\n".join([*lines, ""]).encode()
    good: list[Answer] = []

    async def drip(number: int) -> float:
        """Send a head byte by byte, or a body, or nothing, until the server has closed."""
        async with SocketClient.connected(chain.gateway.port) as client, asyncio.TaskGroup() as tasks:
            closed = tasks.create_task(client.until_closed(60.0))
            if number % 3 == 1:
                await client.send(head + b"\r\n")
            for byte in (head, b"x" * 400, b"")[number % 3]:
                with contextlib.suppress(OSError):
                    await client.send(bytes([byte]))
                await asyncio.wait([closed], timeout=0.3)  # the drip's pace
                if closed.done():
                    break
            return await closed

    async def ask() -> None:
        async with Client(chain.gateway.url) as client:
            good.extend([await client.chat("sim:tokens=20") for _ in range(20)])

    took = await asyncio.gather(*(drip(number) for number in range(600)), ask())
    closed_after = [one for one in took if one is not None]
    return {
        "sockets closed": len(closed_after),
        "seconds until the last is closed": max(closed_after),
        "others served meanwhile": _count(good, "stop"),
    }


async def forged_addresses(chain: Chain) -> Measured:
    """Send an address in every header that a proxy in front might write, and look for it everywhere."""
    names = ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP", "True-Client-IP"]
    body = {"model": "sim:tokens=5", "message": "hi"}
    async with Client(chain.gateway.url) as client:
        answers = [await client.ask("/api/chat/stream", body, {name: f"for={FORGED}"}) for name in names]
    await soon(lambda: len(chain.gateway.events("stream.finished")) > len(names), "its lines")
    told: list[Any] = [
        chain.gateway.raw,
        chain.proxy.raw,
        chain.gateway.metrics(),
        chain.proxy.metrics(),
        chain.witness(),
    ]
    repeated = sum(FORGED in str(place) for place in told)
    return {"answers that are whole": _count(answers, "stop"), "places that repeat it": repeated}


INJECTIONS: Final[Mapping[str, Injection]] = {
    "readers_that_stop": Injection(
        two_hundred_stop,
        proxy={**PATIENT, "PERMITS": "256"},
        gateway={"MAX_STREAMS": "1100"},
        growth_bytes=(200 * 400_000) + (64 << 20),  # the kept logs
    ),
    "huge_tokens": Injection(
        huge_tokens,
        proxy={**PATIENT, "KEEP_S": "60", "LOG_BYTES": str(1 << 18), "LOGS_TOTAL_BYTES": str(LOGS_TOTAL_BYTES)},
        gateway={"MAX_STREAMS": "1100"},
        growth_bytes=LOGS_TOTAL_BYTES + 500 * STREAM_BYTES,  # the kept logs, and what the allocator keeps
    ),
    "starved_processor": Injection(starved_processor, proxy=PATIENT),
    "half_of_all_fail": Injection(half_of_all_fail, proxy=PATIENT),
    "no_rights": Injection(no_rights),
    "full_disk": Injection(full_disk),
    "dripping_sockets": Injection(dripping_sockets),
    "forged_addresses": Injection(forged_addresses),
}
