"""The whole chain in one terminal: what `make run` starts.

    addresses free? -> a model server that answers, else the simulator -> honcho runs the processes -> what to try

honcho starts the processes, puts their lines together and ends all of them when one ends or a signal comes.
What it does not do by itself, and Chain does: survive a signal that comes while it prints or while they start, and
kill those who will not end.
"""

import http.client
import json
import os
import shlex
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import honcho.manager
from honcho.printer import Message, Printer

from services.runtime.listening import CannotListen, Listener, bind
from services.runtime.settings import Address, Origin

ROOT: Final = Path(__file__).parents[1]
OLLAMA: Final = Origin("http", "127.0.0.1", 11434)
# Where the processes listen by default; tests/deploy/test_local.py holds these to the processes' own settings.
LISTEN: Final = {
    "SLUICE_PROXY_LISTEN": Address("127.0.0.1", 8080),
    "SLUICE_PROXY_METRICS_LISTEN": Address("127.0.0.1", 9001),
    "SLUICE_GATEWAY_LISTEN": Address("127.0.0.1", 3001),
    "SLUICE_GATEWAY_METRICS_LISTEN": Address("127.0.0.1", 9002),
    "SLUICE_SIMULATOR_LISTEN": Address("127.0.0.1", 11435),
}
ASK_TIMEOUT_S: Final = 0.5  # a model server answers /api/version at once, or is not there
READY_POLL_S: Final = 0.1
BANNER: Final = "banner"
KILL_AFTER_S: Final = 2  # drains are 1 s: who is still there then will not end by itself

T = TypeVar("T")


class CannotRun(Exception):
    """The chain cannot be started; the message is the one line for the user."""


@dataclass(frozen=True)
class Plan:
    """What will be started, with which environment, and where it is reached."""

    listen: Mapping[str, Address]
    asked: Origin
    simulated: bool
    environ: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Look around and decide.

        Raises:
            CannotRun: an address is none, or is taken.
        """
        asked = _parsed(Origin.parse, environ, "SLUICE_PROXY_OLLAMA_URL", OLLAMA)
        simulated = get_json(asked, "/api/version", ASK_TIMEOUT_S) is None
        listen = {name: _parsed(Address.parse, environ, name, default) for name, default in LISTEN.items()}
        if not simulated:
            del listen["SLUICE_SIMULATOR_LISTEN"]
        for name, address in listen.items():
            _check_free(name, address)
        return cls(listen, asked, simulated, _environment(environ, listen))

    @property
    def modules(self) -> dict[str, str]:
        """The processes, by the name that their lines bear."""
        simulator = {"simulator": "services.simulator"} if self.simulated else {}
        return {**simulator, "proxy": "proxy", "gateway": "gateway"}

    @property
    def model_server(self) -> Origin:
        """Who makes the words."""
        return _origin(self.listen["SLUICE_SIMULATOR_LISTEN"]) if self.simulated else self.asked


def _parsed(parse: Callable[[str], T], environ: Mapping[str, str], name: str, default: T) -> T:
    try:
        return parse(environ[name]) if name in environ else default
    except ValueError as exc:
        raise CannotRun(f"{name}: {exc}") from exc


def _check_free(name: str, address: Address) -> None:
    if address.port == 0:
        raise CannotRun(f"{name}: make run needs a port that it can tell you: set {name}=host:port")
    try:
        bind(Listener(address, keepalive_timeout_s=0)).close()
    except CannotListen as exc:
        raise CannotRun(f"{exc}; is the chain running already? Stop what holds the port, or set {name}") from exc


def _environment(environ: Mapping[str, str], listen: Mapping[str, Address]) -> dict[str, str]:
    """Return what the processes get: what the user set, and what makes the chain meet and end soon."""
    found = {
        "SLUICE_GATEWAY_PROXY_URL": str(_origin(listen["SLUICE_PROXY_LISTEN"])),
        "SLUICE_GATEWAY_DRAIN_S": "1",
        "SLUICE_PROXY_DRAIN_S": "1",
        "SLUICE_LOG_FORMAT": "console" if sys.stdout.isatty() else "auto",
        **environ,
    }
    simulator = listen.get("SLUICE_SIMULATOR_LISTEN")
    if simulator is not None:
        found["SLUICE_PROXY_OLLAMA_URL"] = str(_origin(simulator))
        permits = found.setdefault("SLUICE_PROXY_PERMITS", "8")  # it answers as many at once as one likes
        found.setdefault("SLUICE_SIMULATOR_NUM_PARALLEL", permits)
    return found


def _origin(listening: Address) -> Origin:
    """Return how to reach what listens there from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listening.host, listening.host)  # noqa: S104 compared, not bound
    return Origin("http", host, listening.port)


def get_json(server: Origin, path: str, timeout_s: float) -> Any:
    """Return the JSON that ``server`` answers with 200, or None."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return json.load(response) if response.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def is_ready(gateway: Origin) -> bool:
    """Return whether the gateway takes requests and has reached a model server through the proxy."""
    connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=1)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def banner(plan: Plan) -> str:
    """Return what a person wants to know when the chain is up."""
    gateway, proxy, metrics = (
        _short(plan.listen[f"SLUICE_{name}_LISTEN"]) for name in ("GATEWAY", "PROXY", "GATEWAY_METRICS")
    )
    words = f"The words are those of the model server at {plan.asked}."
    if plan.simulated:
        words = f"No Ollama answers at {plan.asked}: the words are the simulator's, not a model's."
    lines = [
        f"The chain is up: gateway {gateway} -> proxy {proxy} -> {plan.model_server}",
        words,
        "",
        "through both hops:",
        f"  curl -N {gateway}/api/chat/stream -H 'Content-Type: application/json' -d '{{\"message\":\"hi\"}}'",
        "the proxy alone:",
        *_proxy_curl(plan, proxy),
        "time to first token, tokens per second:",
        f"  curl {metrics}/metrics",
        "",
        "Ctrl-C stops everything.",
    ]
    return "\n".join(["", *lines, "", ""])


def _proxy_curl(plan: Plan, proxy: str) -> list[str]:
    models = (get_json(plan.model_server, "/api/tags", 1) or {}).get("models")
    if not models:
        return ["  no model is installed yet: ollama pull llama3.2"]
    body = json.dumps({"model": models[0]["name"], "prompt": "hi"}, separators=(",", ":"))
    return [f"  curl -N {proxy}/api/generate/stream -d '{body}'"]


def _short(listening: Address) -> str:
    address = _origin(listening)
    return f"localhost:{address.port}" if address.host == "127.0.0.1" else str(Address(address.host, address.port))


class Chain:
    """The processes of a plan under honcho, which takes this object for its printer."""

    def __init__(self, plan: Plan) -> None:
        self.width = 0  # of the names, set by honcho
        self._plan = plan
        self._printer = Printer(sys.stdout)
        self._unprinted: deque[Message] = deque()  # at most what one signal says while a line is printed
        self._printing = False
        self._not_started = set(plan.modules)
        self._stop_asked = False
        self._manager = honcho.manager.Manager(printer=self)
        self._terminate_all: Callable[[], None] = self._manager.terminate
        self._manager.terminate = self._stop
        for name, module in plan.modules.items():
            # exec: the signal must meet the process, not a shell before it
            command = f"exec {shlex.join([sys.executable, '-m', module])}"
            self._manager.add_process(name, command, env=dict(plan.environ), cwd=str(ROOT))

    def run(self) -> int:
        """Run until a signal comes or a process ends; return the exit code."""
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))  # the terminal was closed
        try:
            self._manager.loop()
        except BaseException:
            self._manager.kill()
            raise
        interrupted = {130, 143}  # honcho's codes for SIGINT and SIGTERM: what was asked for
        return 0 if self._manager.returncode in interrupted else self._manager.returncode or 1

    def write(self, message: Message) -> None:
        """Print one line; honcho calls it for each, its own included, and from its signal handler, too."""
        self._unprinted.append(message)
        if self._printing:  # a signal came while a line was printed, and a file must not be re-entered
            return
        self._printing = True
        while self._unprinted:
            self._print(self._unprinted.popleft())
        self._printing = False

    def _print(self, message: Message) -> None:
        self._printer.width = self.width
        self._printer.prefix = message.name != BANNER
        try:
            self._printer.write(message)
        except OSError:  # nobody reads any more: make run | head
            self._printer.output = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 until the end
            self._stop()
        if self._not_started and message.name == honcho.manager.SYSTEM_PRINTER_NAME:
            self._not_started.discard(message.data.partition(" started ")[0])
            if not self._not_started:
                self._all_started()

    def _stop(self) -> None:
        """Send SIGTERM to all, as soon as honcho knows their process ids: earlier it fails and leaves them running."""
        self._stop_asked = True
        if not self._not_started:
            self._terminate_all()
            killing = threading.Timer(KILL_AFTER_S, self._manager.kill)
            killing.daemon = True
            killing.start()

    def _all_started(self) -> None:
        if self._stop_asked:
            self._stop()
        # a thread, and not before now: honcho has forked
        threading.Thread(target=self._announce, daemon=True).start()

    def _announce(self) -> None:
        while not is_ready(_origin(self._plan.listen["SLUICE_GATEWAY_LISTEN"])):
            time.sleep(READY_POLL_S)
        now = datetime.now(UTC)
        self._manager.events.put(Message(type="line", data=banner(self._plan), time=now, name=BANNER, colour=None))


def main() -> int:
    """Start the chain, or say in one line why not."""
    try:
        plan = Plan.of(os.environ)
    except CannotRun as exc:
        print(exc, file=sys.stderr)  # noqa: T201 the user reads it
        return 1
    return Chain(plan).run()


if __name__ == "__main__":
    sys.exit(main())
