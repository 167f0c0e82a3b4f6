"""Whether the keys are good: asked at start, when a key file changes, and when an operator looks. Nobody waits for it.

The cheapest call that proves a key lists the models there; it is never a generation. A bad key degrades: its server is
passed by until the key changes or a check passes.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from proxy.providers.key_check import KeyCheck, KeyState
from proxy.upstream.keys import ServerKey, keep_read
from proxy.upstream.server import ModelServer
from services.http.client import TransportError
from services.runtime.tasks import Tasks

log = structlog.get_logger()

CHECK_S: Final = 5.0
AGAIN_S: Final = 60.0
"""How long a check counts for an operator who looks at the page again and again."""
_BAD: Final = frozenset({KeyState.REFUSED, KeyState.NO_QUOTA})


class KeyMetrics(Protocol):
    """Who shows whether keys are good."""

    def key_checked(self, server: str, *, ok: bool) -> None:
        """A key was checked, or there is none where one is expected."""


class KeyChecks:
    """The keys of some servers, and what is known of them.

    Args:
        servers: those in an order: nobody else is asked.
    """

    def __init__(self, servers: Sequence[ModelServer], metrics: KeyMetrics, tasks: Tasks) -> None:
        self._servers = {server.key: server for server in servers if server.key.is_expected}
        self._metrics = metrics
        self._tasks = tasks
        self._checked: dict[str, KeyCheck] = {}
        self._checked_at = -AGAIN_S

    def start(self) -> None:
        """Check all, and look after the files."""
        if self._servers:
            self._tasks.spawn(self.check(), "keys")
            self._tasks.spawn(keep_read(list(self._servers), self._changed), "key files")

    async def check(self) -> None:
        """Check all, unless that was done within the last minute."""
        now = time.monotonic()
        if now - self._checked_at < AGAIN_S:
            return
        self._checked_at = now
        await asyncio.gather(*(self._check(server) for server in self._servers.values()))

    def words(self, server: ModelServer) -> str:
        """Return a sentence of a server's key, for people; "" where it has none, or it was not checked."""
        key = server.key
        if key.is_missing:
            return f"{key.name} is not set" if server.config.key_env else f"{key.name} cannot be read, or is empty"
        checked = self._checked.get(server.name)
        if server.condition.key_refused and (checked is None or checked.state not in _BAD):
            return f"{key.name} was refused (401)"
        return "" if checked is None else checked.sentence(key.name)

    def _changed(self, key: ServerKey) -> None:
        server = self._servers[key]
        server.condition.key_changed()
        self._tasks.spawn(self._check(server), f"key of {server.name}")

    async def _check(self, server: ModelServer) -> None:
        key, language = server.key, server.language
        if key.is_missing:
            self._metrics.key_checked(server.name, ok=False)
            log.warning("key.missing", server=server.name, words=self.words(server))
            return
        try:
            answer = await server.transport.ask(language.check(key.value), timeout_s=CHECK_S)
            checked = language.checked(answer.status, answer.body)
        except TransportError as exc:
            checked = KeyCheck(KeyState.UNKNOWN)
            log.warning("key.not_checked", server=server.name, how=exc.how)
        self._checked[server.name] = checked
        self._take(server, checked)

    def _take(self, server: ModelServer, checked: KeyCheck) -> None:
        """Let a check count: a key that was not proved is neither good nor bad."""
        if checked.state is KeyState.REFUSED:
            server.condition.key_refused = True
        elif checked.state is KeyState.OK:
            server.condition.key_changed()
        elif checked.state is KeyState.NO_QUOTA:
            server.condition.spare("quota", None, time.monotonic())
        self._metrics.key_checked(server.name, ok=checked.state not in _BAD)
        if checked.state in _BAD:
            log.warning("key.bad", server=server.name, words=checked.sentence(server.key.name))


def rows_of(servers: Sequence[ModelServer], checks: KeyChecks, reached: Mapping[str, bool]) -> list[dict[str, Any]]:
    """Return what the health page says of each server: well or not, and why."""
    return [_row(server, checks, is_reached=reached.get(server.name, True)) for server in servers]


def _row(server: ModelServer, checks: KeyChecks, *, is_reached: bool) -> dict[str, Any]:
    why = server.condition.passed_by("", time.monotonic())
    well = is_reached and not why and not server.key.is_missing
    row: dict[str, Any] = {"name": server.name, "kind": server.config.kind, "status": "ok" if well else "degraded"}
    if not is_reached:
        row["why"] = "it does not answer"
    elif why:
        row["why"] = why
    if words := checks.words(server):
        row["key"] = words
    if hung := sorted(server.wedged):
        row["wedged_models"] = hung
    return row
