"""docker compose as an operator runs it: the image, and a stack of containers with the simulator for a model.

Images of others that cannot be had here are replaced by stand-ins, which SLUICE_TEST_PYTHON_IMAGE and the like name, or
left out by name.
"""

import datetime as dt
import functools
import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain import ROOT
from tests.eventually import eventually
from tests.processes import children_of

IMAGE: Final = "sluice:test"
FILES: Final = ("docker-compose.yml", "deploy/compose.simulator.yaml")
OURS: Final = ("prepare", "page", "gateway", "proxy", "ollama", "edge-page")
OTHERS: Final = ("prometheus", "edge", "grafana")
BUILD_S: Final = 900.0  # a bare machine fetches the base, uv, npm and every distribution
STEP_S: Final = 120.0


@functools.cache
def stand_in(service: str) -> str | None:
    """Return the image that stands in for that of ``service``; None where there is none."""
    return os.environ.get(f"SLUICE_TEST_{service.upper()}_IMAGE")


@functools.cache
def had_here(image: str) -> bool:
    """Return whether the engine has this image, or gets it from a registry."""
    return docker("image", "inspect", image).returncode == 0 or docker("pull", "--quiet", image).returncode == 0


def docker(*words: str, within_s: float = STEP_S, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a docker command, whatever comes of it."""
    return subprocess.run(
        ["docker", *words], capture_output=True, text=True, timeout=within_s, check=False, cwd=ROOT, **options
    )


def printed(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command that succeeded printed.

    Raises:
        AssertionError: it did not; the message is what it said.
    """
    assert done.returncode == 0, f"{' '.join(done.args)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def seconds(moment: str) -> float:
    """Return a time of the engine's in seconds."""
    return dt.datetime.fromisoformat(moment).timestamp()


@functools.cache
def image_of(service: str) -> str:
    """Return the image that docker-compose.yml names for a service."""
    config = printed(docker("compose", "--env-file", os.devnull, "--profile", "*", "config", "--format", "json"))
    return str(json.loads(config)["services"][service]["image"])


def base_image() -> str:
    """Return what the image is built on: the Dockerfile's own base, or its stand-in; skip where neither can be had."""
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").split("\n")
    image = stand_in("python") or next(line for line in lines if line.startswith("ARG PYTHON_IMAGE=")).partition("=")[2]
    if not had_here(image):
        pytest.skip(f"no registry has {image}, and no stand-in is named")
    return image


@functools.cache
def image() -> str:
    """Return the name of our image, built of what is here now."""
    base = f"PYTHON_IMAGE={base_image()}"
    done = docker(
        "build", "--quiet", "--build-arg", base, "-f", "deploy/Dockerfile", "-t", IMAGE, ".", within_s=BUILD_S
    )
    printed(done)
    return IMAGE


@dataclass
class Stack:
    """One compose project, with the simulator.

    Args:
        project: its name.
        environ: what .env would say.
        up_s: how long it took from nothing to healthy.
        left_out: services whose image cannot be had here.
    """

    project: str
    environ: dict[str, str]
    up_s: float = 0.0
    left_out: set[str] = field(default_factory=set)
    _overrides: Path = field(init=False)

    def __post_init__(self) -> None:
        """Name our image for ours, and leave out what cannot be had."""
        services: dict[str, Any] = {name: {"image": image(), "pull_policy": "never"} for name in OURS}
        services["gateway"]["build"] = None
        for name in OTHERS:
            if found := stand_in(name):
                services[name] = {"image": found}
            elif not had_here(image_of(name)):
                self.left_out.add(name)
                services[name] = {"profiles": ["left-out"]}
        if stand_in("prometheus"):  # it has no folder of its user, whose owner a new volume takes over
            folder = {"type": "tmpfs", "target": "/prometheus", "tmpfs": {"mode": 0o1777}}
            services["prometheus"]["volumes"] = [folder]
        self.environ["COMPOSE_PROFILES"] = "" if "edge" in self.left_out else "edge"
        with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as file:
            json.dump({"services": services}, file)
        self._overrides = Path(file.name)

    def compose(self, *words: str, within_s: float = STEP_S) -> subprocess.CompletedProcess[str]:
        """Run a compose command, whatever comes of it."""
        files = [part for file in (*FILES, str(self._overrides)) for part in ("-f", file)]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        return docker(
            *("compose", "--ansi", "never", "--env-file", os.devnull, "-p", self.project, *files, *words),
            within_s=within_s,
            env={**environ, **self.environ},
        )

    def up(self) -> None:
        """Start everything, and wait until it is healthy."""
        began = time.monotonic()
        printed(self.compose("up", "--wait"))
        self.up_s = time.monotonic() - began

    def url(self, service: str, port: int) -> str:
        """Return where a published port is reached."""
        return f"http://{printed(self.compose('port', service, str(port)))}"

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container."""
        container = printed(self.compose("ps", "--all", "--quiet", service))
        found: dict[str, Any] = json.loads(printed(docker("inspect", container)))[0]
        return found

    def python(self, service: str, code: str) -> str:
        """Return what Python prints that runs inside the service's container, beside its process."""
        return printed(self.compose("exec", "-T", service, "python", "-c", code))

    def kill_process(self, service: str) -> None:
        """Kill the process itself, as the kernel does when memory runs out: nobody told the engine to stop it."""
        init = self.inspect(service)["State"]["Pid"]
        children = children_of(init)
        assert len(children) == 1, f"the init of {service} has one child"
        os.kill(children[0], 9)

    def away_s(self, service: str, since: str) -> float:
        """Wait until a service's container that had started at ``since`` runs again; return how long it did not."""

        def again() -> dict[str, Any] | None:
            state: dict[str, Any] = self.inspect(service)["State"]
            return state if state["Running"] and state["StartedAt"] != since else None

        state = eventually(again, f"{service} runs again", within_s=STEP_S)
        return seconds(state["StartedAt"]) - seconds(state["FinishedAt"])

    def calls(self, model: str) -> list[dict[str, Any]]:
        """Return the calls that asked for ``model``, as the simulator has them."""
        read = (
            "import urllib.request as r; print(r.urlopen('http://127.0.0.1:11434/simulator/witness').read().decode())"
        )
        return [call for call in json.loads(self.python("ollama", read))["calls"] if call["model"] == model]

    def left(self) -> dict[str, str]:
        """Return what the engine has of this project, by kind."""
        label = f"label=com.docker.compose.project={self.project}"
        kinds = {"container": ("ps", "-aq"), "network": ("network", "ls", "-q"), "volume": ("volume", "ls", "-q")}
        found = {kind: printed(docker(*words, "--filter", label)) for kind, words in kinds.items()}
        return {kind: ids for kind, ids in found.items() if ids}

    def remove(self) -> None:
        """Take it down with all that it holds."""
        printed(self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5"))
