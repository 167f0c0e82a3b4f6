"""What `make run` decides before it starts anything: which processes, where, and with which environment."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from services.runtime.listening import CannotListen, Listener, bind
from services.runtime.probe import get_json
from services.runtime.settings import Address, Origin

# Where everybody is by default; tests/deploy/test_plan.py holds these to the processes' own settings.
OLLAMA: Final = "http://127.0.0.1:11434"
LISTEN: Final = {
    "SLUICE_PROXY_LISTEN": "127.0.0.1:8080",
    "SLUICE_PROXY_METRICS_LISTEN": "127.0.0.1:9001",
    "SLUICE_GATEWAY_LISTEN": "127.0.0.1:3001",
    "SLUICE_GATEWAY_METRICS_LISTEN": "127.0.0.1:9002",
    "SLUICE_WEB_LISTEN": "127.0.0.1:3000",
    "SLUICE_SIMULATOR_LISTEN": "127.0.0.1:11435",
}
KEPT: Final = Path(__file__).parents[1] / ".sluice" / "conversations.db"
"""The conversations of whoever runs the chain here; never in a folder that was compiled, which comes and goes."""
ASK_TIMEOUT_S: Final = 0.5  # a model server answers /api/version at once, or is not there

T = TypeVar("T")


class CannotRun(Exception):
    """The chain cannot be started; the message is the one line for the user."""


@dataclass(frozen=True)
class Plan:
    """What will be started, with which environment, and where it is reached.

    Args:
        asked: where a model server was looked for.
        simulated: it did not answer; the simulator takes its place.
        reached: each listener, by the setting that says where it listens.
        environ: of the processes.
    """

    asked: Origin
    simulated: bool
    reached: Mapping[str, Origin]
    environ: Mapping[str, str]

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Self:
        """Look around and decide.

        Raises:
            CannotRun: an address is none, or is taken.
        """
        asked = _parsed(Origin.parse, "SLUICE_PROXY_OLLAMA_URL", environ.get("SLUICE_PROXY_OLLAMA_URL", OLLAMA))
        simulated = get_json(asked, "/api/version", ASK_TIMEOUT_S) is None
        needed = [name for name in LISTEN if simulated or name != "SLUICE_SIMULATOR_LISTEN"]
        reached = {name: _free(name, environ.get(name, LISTEN[name])) for name in needed}
        return cls(asked, simulated, reached, _environment(environ, reached))

    @property
    def modules(self) -> dict[str, str]:
        """The processes, by the name that their lines bear."""
        simulator = {"simulator": "services.simulator"} if self.simulated else {}
        return {**simulator, "proxy": "proxy", "gateway": "gateway", "page": "services.webchat"}

    @property
    def kept(self) -> str:
        """Where conversations are, in words."""
        database = self.environ["SLUICE_GATEWAY_DATABASE"]
        if not database:
            return "in each browser"
        return database.removeprefix("sqlite:///") if database.startswith("sqlite:") else "in your database"

    @property
    def model_server(self) -> Origin:
        """Who makes the words."""
        return self.reached.get("SLUICE_SIMULATOR_LISTEN", self.asked)


def _parsed(parse: Callable[[str], T], name: str, text: str) -> T:
    try:
        return parse(text)
    except ValueError as exc:
        raise CannotRun(f"{name}: {exc}") from exc


def _free(name: str, text: str) -> Origin:
    """Return how what will listen at the address ``text``, the setting ``name``, is reached; nobody listens there."""
    address = _parsed(Address.parse, name, text)
    if address.port == 0:
        raise CannotRun(f"{name}: make run needs a port that it can tell you: set {name}=host:port")
    try:
        bind(Listener(address, keepalive_timeout_s=0)).close()
    except CannotListen as exc:
        raise CannotRun(f"{exc}; is the chain running already? Stop what holds the port, or set {name}") from exc
    return address.reachable


def _environment(environ: Mapping[str, str], reached: Mapping[str, Origin]) -> dict[str, str]:
    """Return what the processes get: what the user set, and what makes the chain meet and end soon."""
    found = {
        "SLUICE_GATEWAY_PROXY_URL": str(reached["SLUICE_PROXY_LISTEN"]),
        "SLUICE_GATEWAY_DRAIN_S": "1",
        "SLUICE_PROXY_DRAIN_S": "1",
        "SLUICE_WEB_GATEWAY_URL": _names(reached["SLUICE_GATEWAY_LISTEN"])[0],
        "SLUICE_GATEWAY_CORS_ORIGINS": ",".join(_names(reached["SLUICE_WEB_LISTEN"])),
        **_kept(environ),
        "SLUICE_LOG_FORMAT": "console" if sys.stdout.isatty() else "auto",
        **environ,
    }
    if "SLUICE_SIMULATOR_LISTEN" in reached:
        found["SLUICE_PROXY_OLLAMA_URL"] = str(reached["SLUICE_SIMULATOR_LISTEN"])
        permits = found.setdefault("SLUICE_PROXY_PERMITS", "8")  # it answers as many at once as one likes
        found.setdefault("SLUICE_SIMULATOR_NUM_PARALLEL", permits)
    return found


def _kept(environ: Mapping[str, str]) -> dict[str, str]:
    """Return where conversations are kept: in a file of the checkout, unless strangers would share it."""
    is_ours = Address.parse(environ.get("SLUICE_GATEWAY_LISTEN", LISTEN["SLUICE_GATEWAY_LISTEN"])).is_loopback
    by_default = f"sqlite:///{KEPT}" if is_ours or environ.get("SLUICE_GATEWAY_KEYS_FILE") else ""
    database = environ.get("SLUICE_GATEWAY_DATABASE", by_default)
    return {"SLUICE_GATEWAY_DATABASE": database, "SLUICE_WEB_STORE": "true" if database else "false"}


def _names(origin: Origin) -> list[str]:
    """Return what browsers may call ``origin``, the name that people type first: to them each is another origin."""
    loopback = ["localhost", "127.0.0.1"] if origin.host == "127.0.0.1" else []
    return [f"http://{name}:{origin.port}" for name in loopback] or [str(origin)]
