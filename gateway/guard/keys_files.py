"""The keys file and its pepper on disk: read at start, and the keys again each second, whole or not at all."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from gateway.guard.key_text import PEPPER_BYTES
from gateway.guard.keyring import Keyring
from gateway.guard.keys import FILE_BYTES, BadKeysFile, read_keys

log = structlog.get_logger()

PERIOD_S: Final = 1.0
"""A change counts within two seconds. What was read is compared, since a mount's times of change cannot be trusted."""


class KeysFiles:
    """Where the keys are, and the pepper; a new pepper needs a new process.

    Args:
        failed: told of each time that the keys could not be read again.

    Raises:
        BadKeysFile: the pepper cannot be used.
    """

    def __init__(self, keys: Path, pepper: Path, failed: Callable[[], None] = lambda: None) -> None:
        self._keys = keys
        self._pepper = read_pepper(pepper)
        self._failed = failed
        self._raw = b""
        self._problems: list[str] = []

    def read(self) -> Keyring:
        """Return the keys as they stand in the file now.

        Raises:
            BadKeysFile: a line for each problem, with the file's name.
        """
        return self._ring(_read(self._keys))

    async def changed(self) -> Keyring | None:
        """Read the keys again, and return them if they are others than before and can be used.

        Of a file that cannot be a line tells once.
        """
        try:
            raw = await asyncio.to_thread(_read, self._keys)  # a mount may hang
            if raw == self._raw:
                return None
            ring = self._ring(raw)
        except BadKeysFile as bad:
            if bad.problems != self._problems:  # a file that is away is so each second
                self._failed()
                log.warning("keys.not_read", problems=bad.problems, advice="the keys of before count on")
            self._problems = bad.problems
            return None
        self._problems = []
        log.info("keys.read", keys=len(ring.keys))
        return ring

    def _ring(self, raw: bytes) -> Keyring:
        self._raw = raw  # a broken one, too: it is judged once
        try:
            return Keyring(read_keys(raw), self._pepper)
        except BadKeysFile as bad:
            raise BadKeysFile([f"{self._keys}: {problem}" for problem in bad.problems]) from None


def read_pepper(path: Path) -> bytes:
    """Return the pepper.

    Raises:
        BadKeysFile: there is none, or too little of it.
    """
    pepper = _read(path)
    if len(pepper) < PEPPER_BYTES:
        raise BadKeysFile([f"{path}: expected at least {PEPPER_BYTES} random bytes"])
    return pepper


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(FILE_BYTES + 1)
    except OSError as exc:
        raise BadKeysFile([f"{path}: {exc.strerror}"]) from None
