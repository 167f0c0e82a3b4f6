"""The chain as users run it: real processes on free ports, their log lines, and a witness of what reached the model.

with running_chain() as chain:      # simulator -> proxy -> gateway, each an OS process
    chain.gateway.url, chain.proxy.lines, chain.witness() ...
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.eventually import eventually

ROOT: Final = Path(__file__).resolve().parent.parent
START_S: Final = 20.0

# The time-outs of docs/faults.md's test profile: short, so that reaching one is cheap.
PROXY_PROFILE: Final[Mapping[str, str]] = {
    "CONNECT_TIMEOUT_S": "0.5",
    "FIRST_TOKEN_TIMEOUT_S": "3",
    "IDLE_TIMEOUT_S": "1",
    "TOTAL_TIMEOUT_S": "10",
    "HEARTBEAT_S": "0.3",
    "WRITE_TIMEOUT_S": "1",
    "DRAIN_S": "3",
    "QUEUE_TIMEOUT_S": "2",
    "PERMITS": "64",
}
GATEWAY_PROFILE: Final[Mapping[str, str]] = {
    "HEARTBEAT_S": "0.3",
    "WRITE_TIMEOUT_S": "1",
    "BODY_TIMEOUT_S": "1",
    "DRAIN_S": "3",
}


class Server:
    """One process of ours, with what it has logged.

    Args:
        under: a command that runs it: what stands before its own.
    """

    def __init__(self, module: str, environ: Mapping[str, str], *, under: Sequence[str] = ()) -> None:
        self.module = module
        self.lines: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        self._process = subprocess.Popen(
            [*under, sys.executable, "-m", module],
            cwd=ROOT,
            env={**clean, "SLUICE_LOG_FORMAT": "json", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            listening = eventually(self._listening, f"{module} listens; it said {self.raw[-5:]!r}", within_s=START_S)
        except AssertionError:
            self.stop()
            raise
        self.address: str = listening.get("address") or listening["listen"]
        self.metrics_address: str = listening.get("metrics", "")

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://{self.address}"

    @property
    def port(self) -> int:
        """The port of :attr:`url`."""
        return int(self.address.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of one event."""
        return [line for line in tuple(self.lines) if line.get("event") == name]

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_s: float = 10.0) -> int:
        """Return its exit code."""
        code = self._process.wait(timeout_s)
        self._reader.join(2.0)
        return code

    def stop(self) -> None:
        """End it at once, whatever state it is in."""
        if self.running:
            self.signal(signal.SIGKILL)
        self.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def metrics(self) -> dict[str, float]:
        """Return its samples by their name and labels, as the exposition writes them."""
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        samples = (line.rpartition(" ") for line in text.split("\n") if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Return status and body of a GET."""
        request = urllib.request.Request(self.url + path, headers=dict(headers or {}))  # noqa: S310 ours
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 ours
                return answer.status, answer.read()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read()

    def open_files(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 entries vanish meanwhile

    def resident_bytes(self) -> int:
        """Its resident memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _listening(self) -> dict[str, Any] | None:
        if not self.running:
            raise AssertionError(f"{self.module} ended: {b''.join(self.raw).decode(errors='replace')}")
        return next(iter(self.events("listening")), None)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.raw.append(line)
            with contextlib.suppress(ValueError):
                parsed = json.loads(line)
                if isinstance(parsed, dict):
                    self.lines.append(parsed)


@dataclass
class Chain:
    """Simulator, proxy and gateway; more gateways can be started."""

    simulator: Server
    proxy: Server
    gateway: Server
    gateway_environ: dict[str, str]
    proxy_environ: dict[str, str]
    servers: list[Server]

    def another_gateway(self, **settings: str) -> Server:
        """Start one more gateway in front of the same proxy."""
        server = Server("gateway", {**self.gateway_environ, **_named("GATEWAY", settings)})
        self.servers.append(server)
        return server

    def another_proxy(self, **settings: str) -> Server:
        """Start one more proxy, in front of the same simulator unless ``OLLAMA_URL`` says otherwise."""
        server = Server("proxy", {**self.proxy_environ, **_named("PROXY", settings)})
        self.servers.append(server)
        return server

    def calls(self, model: str) -> list[dict[str, Any]]:
        """Return the calls that asked for ``model``, as the witness has them, oldest first."""
        return [call for call in self.witness()["calls"] if call["model"] == model]

    def witness(self) -> dict[str, Any]:
        """Return what the simulator has seen."""
        _, body = self.simulator.get("/simulator/witness")
        seen: dict[str, Any] = json.loads(body)
        return seen

    def forget(self) -> None:
        """Clear the witness."""
        request = urllib.request.Request(self.simulator.url + "/simulator/witness", method="DELETE")  # noqa: S310 ours
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 ours


@contextlib.contextmanager
def running_chain(
    *,
    simulator: Mapping[str, str] | None = None,
    proxy: Mapping[str, str] | None = None,
    gateway: Mapping[str, str] | None = None,
    proxy_module: str = "proxy",
    log_level: str = "info",
) -> Iterator[Chain]:
    """Run the chain on free ports with the test profile; settings are given without their prefix.

    Waits until the gateway is ready, and stops everything at the end.

    Args:
        proxy_module: what runs as the proxy, with a part that only a test can have.
    """
    servers: list[Server] = []
    log = {"SLUICE_LOG_LEVEL": log_level}
    try:
        servers.append(
            Server("services.simulator", log | _named("SIMULATOR", {"LISTEN": "127.0.0.1:0", **(simulator or {})}))
        )
        own = {"LISTEN": "127.0.0.1:0", "METRICS_LISTEN": "127.0.0.1:0"}
        proxy_environ = log | _named("PROXY", {**own, "OLLAMA_URL": servers[0].url, **PROXY_PROFILE, **(proxy or {})})
        servers.append(Server(proxy_module, proxy_environ))
        settings = {**own, "PROXY_URL": servers[1].url, **GATEWAY_PROFILE, **(gateway or {})}
        gateway_environ = log | _named("GATEWAY", settings)
        servers.append(Server("gateway", gateway_environ))
        simulator_, proxy_, gateway_ = servers
        chain = Chain(simulator_, proxy_, gateway_, gateway_environ, proxy_environ, servers)
        eventually(lambda: chain.gateway.get("/readyz")[0] == 200, "the gateway is ready", within_s=START_S)
        yield chain
    finally:
        for server in servers:
            server.stop()


def _named(process: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"SLUICE_{process}_{name}": value for name, value in settings.items()}
