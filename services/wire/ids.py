"""Stream ids, the numbers of events, and the position that a reader comes back with.

    <stream id>-<n>          k3fa.4MZ6KQ2T7NBM4F75SSD3CGRRGI-12
    <instance>.<secret>      the proxy that owns the stream, and 128 random bits: whoever knows them may read it

The numbers of a stream grow from 1; a jump is a merge, never a loss. A position is the number of the last event that a
reader has, 0 for none. PROTOCOL.md, "Rules of every stream".
"""

import base64
import re
from collections.abc import Mapping
from typing import Final

SECRET_BYTES: Final = 16
_STREAM_ID: Final = re.compile(r"[A-Za-z0-9]{1,16}\.[A-Z2-7]{26}")
# Not int(): it takes +5, 1_000 and Arabic digits. Fifteen digits are more events than a stream can have.
_NUMBER: Final = re.compile(r"[0-9]{1,15}")


class BadPosition(Exception):
    """What is asked for is no position of this stream; the message says why."""


def new_stream_id(instance: str, secret: bytes) -> str:
    """Return the id of a stream.

    Args:
        instance: the proxy's name.
        secret: SECRET_BYTES random bytes.
    """
    return f"{instance}.{base64.b32encode(secret).decode().rstrip('=')}"


def is_stream_id(text: str) -> bool:
    """Whether ``text`` has the form of a stream's id."""
    return _STREAM_ID.fullmatch(text) is not None


def instance_of(stream_id: str) -> str:
    """Return the name of the proxy that owns a stream."""
    return stream_id.partition(".")[0]


def number_of(event_id: str) -> int:
    """Return the n of ``<stream id>-<n>``.

    Raises:
        BadPosition: it has none.
    """
    return _number(event_id.rpartition("-")[2])


def position_of(stream_id: str, headers: Mapping[str, str], query: Mapping[str, str]) -> int:
    """Return the position that a reader of ``stream_id`` names: after it the replay begins; 0 where it names none.

    Args:
        headers: of the request; its ``Last-Event-ID`` wins.
        query: of the request, with ``after``.

    Raises:
        BadPosition: it is no number, or another stream's.
    """
    last_event_id = headers.get("Last-Event-ID")
    if last_event_id is None:
        return _number(query.get("after", "0"))
    of, _, number = last_event_id.rpartition("-")
    if of != stream_id:
        raise BadPosition("This Last-Event-ID is not of this stream.")
    return _number(number)


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise BadPosition("A position is a number, from 0.")
    return int(text)
