"""The form of a key, and what is kept of it: a keyed hash, never the key. Pure.

    sk_<environment>_<id, 8>_<secret, 43>_<checksum, 6>     sk_live_a1B2c3D4_…_0aZ9bX

A scanner for secrets finds it by its beginning, a typing error is known by its checksum without asking anything, and
its id may be written into a log. The secret has 256 random bits, so a slow hash would protect nothing more.
"""

import hmac
import re
import string
import zlib
from dataclasses import dataclass, field
from typing import Final

ALPHABET: Final = string.digits + string.ascii_letters
ID_LENGTH: Final = 8
SECRET_LENGTH: Final = 43
"""Of 62 letters and digits: 256 bits."""
PEPPER_BYTES: Final = 32
"""The least: as long as the hash."""
_CHECK_LENGTH: Final = 6
OWNER_LENGTH: Final = 32
"""Hex digits of an owner's name on the hop: 128 bits."""
ID: Final = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}")
ENVIRONMENT: Final = re.compile(r"[a-z0-9]{1,16}")
_KEY: Final = re.compile(
    rf"(sk_{ENVIRONMENT.pattern}_({ID.pattern})_([0-9A-Za-z]{{{SECRET_LENGTH}}}))_([0-9A-Za-z]{{{_CHECK_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class KeyText:
    """A key that has the form of one."""

    id: str
    secret: str = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "KeyText | None":
        """Return the key that ``text`` is, or None: another form, or a checksum that does not fit."""
        match = _KEY.fullmatch(text)
        if match is None or _checksum(match[1]) != match[4]:
            return None
        return cls(match[2], match[3])


def key_text(environment: str, key_id: str, secret: str) -> str:
    """Return the key of these parts, as its owner keeps it."""
    body = f"sk_{environment}_{key_id}_{secret}"
    return f"{body}_{_checksum(body)}"


def hash_of(pepper: bytes, secret: str) -> str:
    """Return what is kept of a secret: 64 hex digits, worth nothing without the pepper."""
    return hmac.digest(pepper, secret.encode(), "sha256").hex()


def owner_of(pepper: bytes, name: str) -> str:
    """Return what the proxy calls a principal: the same at every gateway, and no name that a log would give away."""
    return hmac.digest(pepper, b"owner:" + name.encode(), "sha256").hex()[:OWNER_LENGTH]


def _checksum(body: str) -> str:
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
