"""A keys file as an operator writes it, and the keys that its people hold."""

import secrets
from pathlib import Path
from typing import Final

from gateway.guard.key_text import ALPHABET, ID_LENGTH, SECRET_LENGTH, hash_of, key_text
from tests.chain import Server

PEPPER: Final = b"a pepper of thirty-two bytes, all"


class KeysOnDisk:
    """The two files; each change is written at once, and never read half."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "keys.toml"
        self._tables: dict[str, str] = {}
        (folder / "pepper").write_bytes(PEPPER)
        self.settings = {"KEYS_FILE": str(self.file), "PEPPER_FILE": str(folder / "pepper")}
        self._write()

    def add(self, name: str = "Ada", **fields: str) -> str:
        """Give somebody a key, and return it; a field's value is written as TOML has it."""
        key_id, secret = (
            "".join(secrets.choice(ALPHABET) for _ in range(length)) for length in (ID_LENGTH, SECRET_LENGTH)
        )
        said = {"id": f'"{key_id}"', "hash": f'"{hash_of(PEPPER, secret)}"', "name": f'"{name}"', **fields}
        self._tables[key_id] = "[[key]]\n" + "".join(f"{field} = {value}\n" for field, value in said.items())
        self._write()
        return key_text("test", key_id, secret)

    def revoke(self, key: str) -> None:
        """Take a key out of the file."""
        del self._tables[id_of(key)]
        self._write()

    def breaks(self) -> None:
        """Write what is no file of keys."""
        self._put("[[key]\n")

    def are_read(self, server: Server, since: int) -> bool:
        """Whether ``server`` said behind ``since`` such lines that it has read the file as it is.

        One more line does not say that: an earlier change's may come late.
        """
        lines = server.events("keys.read")
        return len(lines) > since and lines[-1]["keys"] == len(self._tables)

    def _write(self) -> None:
        self._put("".join(self._tables.values()))

    def _put(self, text: str) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(text)
        new.replace(self.file)


def id_of(key: str) -> str:
    """Return the id in a key, which a log may name."""
    return key.split("_")[2]


def bearer(key: str) -> dict[str, str]:
    """Return the header that brings a key."""
    return {"Authorization": f"Bearer {key}"}
