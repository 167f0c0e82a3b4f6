"""Where a page of a list ends, as its reader brings it back: opaque, and good for that list alone. Pure."""

import base64
import binascii
import hashlib
import struct
from typing import Final

from services.wire.request import BadBody

_NUMBERS: Final = struct.Struct(">qq")  # as the databases count
_SEAL_BYTES: Final = 6


def written(of: str, first: int, second: int) -> str:
    """Return the place in the list ``of``: its kind, whose it is, and what was searched for."""
    numbers = _NUMBERS.pack(first, second)
    return base64.urlsafe_b64encode(numbers + _seal(of, numbers)).decode().rstrip("=")


def read(of: str, text: str) -> tuple[int, int]:
    """Return the place.

    Raises:
        BadBody: it is none of this list. (A mistake is told, and a forger gains nothing: a list is one's own.)
    """
    try:
        raw = base64.b64decode(text + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    numbers, seal = raw[: _NUMBERS.size], raw[_NUMBERS.size :]
    if len(numbers) != _NUMBERS.size or seal != _seal(of, numbers):
        raise BadBody("this place is none of this list: begin without it")
    first, second = _NUMBERS.unpack(numbers)
    return first, second


def _seal(of: str, numbers: bytes) -> bytes:
    return hashlib.blake2s(of.encode("utf-8", "replace") + b"\0" + numbers, digest_size=_SEAL_BYTES).digest()
