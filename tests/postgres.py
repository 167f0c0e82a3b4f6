"""A PostgreSQL of this machine: on a free port, empty, in a folder of its own, not as root, and without fsync."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.eventually import eventually
from tests.machine import program
from tests.ports import free_port
from tests.processes import children_of

START_S: Final = 30.0
_OPTIONS: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=40")


class PostgresServer:
    """One cluster; it may be stopped and started again, at the same address, with what it holds.

    Args:
        folder: where its data is; the user that it runs as must be able to reach it.
    """

    def __init__(self, folder: Path) -> None:
        found = program("postgres")
        assert found is not None
        self._programs = Path(found).resolve().parent
        self.folder = folder
        self._data = folder / "data"
        self._as: dict[str, Any] = {"cwd": folder}
        if os.geteuid() == 0:  # which it refuses to run as
            user = _user()
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it is, for a gateway."""
        return f"postgresql://sluice@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """Make the cluster; everybody on this machine may come in."""
        options = ["--username=sluice", "--auth=trust", "--encoding=UTF8", "--no-sync", "--no-instructions"]
        self._run("initdb", "-D", str(self._data), *options)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        listen = ["-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        options = [word for option in _OPTIONS for word in ("-c", option)]
        self._process = subprocess.Popen(
            [self._programs / "postgres", "-D", self._data, *listen, *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )
        eventually(self._answers, "PostgreSQL answers", within_s=START_S)

    def stop(self) -> None:
        """Stop it at once, as an operator does who does not wait for clients."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(START_S)
            self._process = None

    def kill(self) -> None:
        """End it and its children, as a test does that needs it no more."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(START_S)
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Be a machine that stands still, until the block ends: connections stay open, and nobody answers on them."""
        assert self._process is not None
        self._signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        """Signal the first process and its children, which serve a connection each."""
        assert self._process is not None
        for pid in (self._process.pid, *children_of(self._process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def ask(self, statement: str) -> str:
        """Run a statement as an operator does; return what ``psql`` printed, unaligned."""
        options = ["-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sluice", "-d", "postgres"]
        return self._run("psql", *options, "-c", statement).strip()

    @contextlib.contextmanager
    def refusing_writes(self) -> Iterator[None]:
        """Be read-only, as one is that stands by for another."""
        self._set_read_only("SET default_transaction_read_only = on", "on")
        yield
        self._set_read_only("RESET default_transaction_read_only", "off")

    def _set_read_only(self, setting: str, shown: str) -> None:
        """Change the setting, and wait for it: whoever came before has been told when one who comes now is shown it."""
        self.ask(f"ALTER SYSTEM {setting}")
        self.ask("SELECT pg_reload_conf()")
        eventually(lambda: self.ask("SHOW default_transaction_read_only") == shown, f"writes are refused: {shown}")

    def put_tables_into(self, folder: Path) -> None:
        """Let tables that are made from now on be in a folder of their own, on another disk perhaps."""
        if "user" in self._as:
            os.chown(folder, self._as["user"], self._as["group"])
        for statement in (
            f"CREATE TABLESPACE elsewhere LOCATION '{folder}'",
            "ALTER SYSTEM SET default_tablespace = elsewhere",
            "SELECT pg_reload_conf()",
        ):
            self.ask(statement)

    def _answers(self) -> bool:
        found = subprocess.run(
            [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False, **self._as
        )
        return found.returncode == 0

    def _run(self, name: str, *words: str) -> str:
        command: Sequence[str] = [str(self._programs / name), *words]
        ran = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60, **self._as)
        said: bytes = ran.stdout
        return said.decode()


def _user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@contextlib.contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """Run one until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="sluice-postgres-"))
    server = PostgresServer(folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
