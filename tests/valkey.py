"""A Valkey, or a Redis, of this machine: on a free port, empty, and without a file."""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.eventually import eventually
from tests.machine import program
from tests.ports import free_port

PASSWORD: Final = "a-password"
_ACL: Final = f"user sluice on >{PASSWORD} ~sluice:* +@all -@dangerous"


class ValkeyServer:
    """One process; it may be stopped and started again, at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, for a gateway: with a user who may touch its own keys alone."""
        return f"valkey://sluice:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        found = program("valkey")
        assert found is not None
        acl = self._folder / "users.acl"
        acl.write_text(f"user default on nopass ~* +@all\n{_ACL}\n")
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--aclfile", str(acl)]
        self._process = subprocess.Popen([found, *options, "--dir", str(self._folder)], stdout=subprocess.DEVNULL)
        eventually(self._answers, "Valkey answers")

    def kill(self) -> None:
        """End it as a crash does: what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def ask(self, *words: str) -> bytes:
        """Send one command as an operator does, and return the answer as it came."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(
                b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
            )
            return connection.recv(1 << 20)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("PING").startswith(b"+PONG")
        return False


@contextlib.contextmanager
def running_valkey(folder: Path) -> Iterator[ValkeyServer]:
    """Run one until the block ends."""
    server = ValkeyServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
