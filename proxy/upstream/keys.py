"""The keys of model servers: from the environment, or from files that are read again when they change.

A key is held here and in the requests that carry it, and nowhere else: no log line, error, metric or page has one.
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import structlog

from proxy.config.config import ServerConfig

log = structlog.get_logger()

PERIOD_S: Final = 2.0
KEY_BYTES: Final = 4096
"""Longest key file: the longest key has some hundreds."""

_Mark = tuple[float, int, int]  # of a file: when it was changed, its size, its inode


class ServerKey:
    """The key of one server.

    Args:
        environ: where ``key_env`` is looked up.
    """

    def __init__(self, config: ServerConfig, environ: Mapping[str, str] = os.environ) -> None:
        self._path = Path(config.key_file) if config.key_file else None
        self._mark: _Mark | None = None
        self.name = config.key_env or config.key_file  # what its operator calls it
        self.is_expected = config.has_key
        self.value: str | None = _clean(environ.get(config.key_env, "")) if config.key_env else None
        self.read()

    @property
    def is_missing(self) -> bool:
        """Whether its operator named a key and there is none."""
        return self.is_expected and self.value is None

    def read(self) -> bool:
        """Look at the file; return whether there is another key. What cannot be read, or is empty, keeps the old."""
        if self._path is None:
            return False
        try:
            stat = self._path.stat()
            mark = (stat.st_mtime, stat.st_size, stat.st_ino)
            if mark == self._mark:
                return False
            with self._path.open("rb") as file:
                raw = file.read(KEY_BYTES + 1)
        except OSError:
            return False
        self._mark = mark
        value = _clean(raw.decode("latin-1")) if len(raw) <= KEY_BYTES else None
        if value is None or value == self.value:
            return False
        self.value = value
        return True


async def keep_read(keys: Sequence[ServerKey], changed: Callable[[ServerKey], None]) -> None:
    """Look at the files every two seconds, until cancelled; ``changed`` is told whose key is another."""
    while True:
        await asyncio.sleep(PERIOD_S)
        for key in keys:
            if await asyncio.to_thread(key.read):  # a mount may hang
                log.info("key.read", key=key.name)
                changed(key)


def _clean(text: str) -> str | None:
    """Return a key without what surrounds it; None for what cannot be one: it has to fit a header."""
    key = text.strip()
    return key if key and key.isascii() and key.isprintable() else None
