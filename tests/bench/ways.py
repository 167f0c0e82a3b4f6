"""Other ways through the same chain, each a contender of its own: ``--ways keys,valkey,openai``."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.contender import CHAT_BODY, CannotStart, clean_environ, process
from tests.machine import lacking, program
from tests.ports import free_port

OPENAI_BODY: Final = '{"model":"bench","stream":true,"messages":[{"role":"user","content":"PROMPT"}]}'
LIMITS: Final = "streams = 100000\nrequests_per_minute = 100000000\ntokens_per_day = 1000000000000\n"
"""Every limit is counted, and none is reached."""


@dataclass(frozen=True)
class Way:
    """How the gateway is set, and how it is asked.

    Args:
        settings: of the gateway, without their prefix.
        headers: more lines of each request, each with its CRLF.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    path: str = "/api/chat/stream"
    body: str = CHAT_BODY
    headers: str = ""


@contextlib.contextmanager
def plain(_folder: Path) -> Iterator[Way]:
    """Nobody is asked for a key; native frames."""
    yield Way()


@contextlib.contextmanager
def openai(_folder: Path) -> Iterator[Way]:
    """In OpenAI's language: each frame is made anew at the gateway."""
    yield Way(path="/v1/chat/completions", body=OPENAI_BODY)


@contextlib.contextmanager
def keys(folder: Path) -> Iterator[Way]:
    """One key with every limit, counted in the gateway's memory."""
    own = Path(tempfile.mkdtemp(dir=folder))  # of another way, in the same run, the gateway would read the keys
    pepper, file = own / "pepper", own / "keys.toml"
    pepper.write_bytes(bytes(range(32)))
    pepper.chmod(0o600)
    settings = {"KEYS_FILE": str(file), "PEPPER_FILE": str(pepper)}
    environ = {**clean_environ(), **{f"SLUICE_GATEWAY_{name}": value for name, value in settings.items()}}
    made = subprocess.run(
        [sys.executable, "-m", "gateway", "keys", "new", "bench"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    _, _, table = made.partition("[[key]]")
    (key,) = (line.strip() for line in made.split("\n") if line.startswith("  "))
    file.write_text(f"[[key]]{table}{LIMITS}")
    yield Way(settings, headers=f"Authorization: Bearer {key}\r\n")


@contextlib.contextmanager
def valkey(folder: Path) -> Iterator[Way]:
    """The same, counted in a Valkey beside the gateway.

    Raises:
        CannotStart: this machine has none.
    """
    server = program("valkey")
    if server is None:
        raise CannotStart(lacking("valkey"))
    port = free_port()
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with process(command, log=folder / "valkey.log", cwd=folder), keys(folder) as way:
        yield Way({**way.settings, "VALKEY_URL": f"valkey://127.0.0.1:{port}/0"}, headers=way.headers)


WAYS: Final[Mapping[str, Callable[[Path], AbstractContextManager[Way]]]] = {
    "keys": keys,
    "valkey": valkey,
    "openai": openai,
}
