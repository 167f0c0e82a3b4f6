"""Edges as processes, in front of a chain of two gateways and a page."""

import asyncio
import contextlib
import os
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.browser.page_chain import page_server
from tests.certificate import make_certificate
from tests.chain import Chain, Server, running_chain
from tests.edges.configuration import Edge, Place
from tests.eventually import eventually, soon
from tests.ports import free_ports

START_S: Final = 20.0
# What people run, but for silence: longer than the longest pause of a test, so that nothing at all crosses the edge.
PROXY: Final = {
    "HEARTBEAT_S": "10",
    "WRITE_TIMEOUT_S": "10",
    "FIRST_TOKEN_TIMEOUT_S": "60",
    "IDLE_TIMEOUT_S": "45",
    "TOTAL_TIMEOUT_S": "300",
    "CONNECT_TIMEOUT_S": "1",
    "DRAIN_S": "1",
}
GATEWAY: Final = {"HEARTBEAT_S": "25", "WRITE_TIMEOUT_S": "10", "BODY_TIMEOUT_S": "10", "DRAIN_S": "1"}


@dataclass
class Behind:
    """What stands behind an edge."""

    chain: Chain
    gateways: list[Server]
    page: Server

    @contextlib.asynccontextmanager
    async def started_again(self, number: int) -> AsyncIterator[None]:
        """Let the block end one of the gateways; behind it there is one again, at the same port."""
        gone = self.gateways[number]
        try:
            yield
        finally:
            gone.stop()
            self.gateways[number] = await asyncio.to_thread(self.chain.another_gateway, LISTEN=gone.address)
            await soon(lambda: self.gateways[number].get("/readyz")[0] == 200, "it is ready", within_s=START_S)


@contextlib.contextmanager
def running_behind() -> Iterator[Behind]:
    """Run a chain of two gateways, and the page for their edge's origin."""
    page_port, *ports = free_ports(3)
    first, second = (f"127.0.0.1:{port}" for port in ports)  # where they come back
    with running_chain(
        simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}, proxy=PROXY, gateway={**GATEWAY, "LISTEN": first}
    ) as chain:
        page = page_server(page_port, "same-origin")
        chain.servers.append(page)
        yield Behind(chain, [chain.gateway, chain.another_gateway(LISTEN=second)], page)


@dataclass
class RunningEdge:
    """An edge that takes connections."""

    edge: Edge
    place: Place
    tls: ssl.SSLContext
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def url(self) -> str:
        """Where browsers reach it."""
        return f"https://localhost:{self.place.port}"

    @property
    def certificate(self) -> Path:
        """What must be trusted to believe it."""
        return self.place.folder / "cert.pem"

    def status(self, path: str) -> int:
        """Return the status that a GET has; 0 while there is no answer."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5, context=self.tls) as answer:  # noqa: S310 ours
                return int(answer.status)
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code
        except OSError:
            return 0


@contextlib.contextmanager
def running_edge(
    edge: Edge, program: str, folder: Path, *, gateways: Sequence[str], page: str
) -> Iterator[RunningEdge]:
    """Run an edge, and wait until it knows of a gateway that is ready."""
    certificate, _ = make_certificate(folder)
    (folder / "pair").mkdir()
    (folder / "pair" / "both.pem").write_text(certificate.read_text() + (folder / "key.pem").read_text())
    port, plain_port = free_ports(2)
    place = Place(port, plain_port, page, gateways, folder, version_of(edge, program))
    output = folder / "output"
    with output.open("wb") as out:
        # a home of its own: Caddy keeps what it knows there
        environ = {**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        process = subprocess.Popen(
            [program, *edge.written(place)], stdout=out, stderr=subprocess.STDOUT, env=environ, cwd=folder
        )
    tls = ssl.create_default_context(cafile=certificate)
    running = RunningEdge(edge, place, tls, process, output)
    try:
        eventually(lambda: is_ready(running), f"{edge.name} has a gateway; {folder}", within_s=START_S)
        yield running
    finally:
        process.kill()
        process.wait()


def is_ready(running: RunningEdge) -> bool:
    assert running.process.poll() is None, running.output.read_text()[-2000:]
    return running.status("/readyz") == 200


def version_of(edge: Edge, program: str) -> tuple[int, ...]:
    said = subprocess.run([program, edge.asked_version], capture_output=True, text=True, check=True)
    found = re.search(r"\b\D?(\d+)\.(\d+)\.(\d+)", said.stdout + said.stderr)
    assert found is not None
    return tuple(map(int, found.groups()))
