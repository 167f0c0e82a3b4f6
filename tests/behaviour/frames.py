"""The bytes of an SSE body taken apart by hand, so that their form can be asserted and not only their meaning."""

import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

FIELDS: Final = ("id", "event", "retry", "data")
HEARTBEAT: Final = b": hb\n"


@dataclass(frozen=True)
class Frame:
    """One frame: its fields in the order in which they came."""

    fields: list[tuple[str, str]]

    def __getitem__(self, name: str) -> str | None:
        return dict(self.fields).get(name)

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = orjson.loads(self["data"] or "")
        return data

    @property
    def number(self) -> int | None:
        """The number in the id; None without one."""
        return None if (given := self["id"]) is None else int(given.rpartition("-")[2])


def frames(wire: bytes | bytearray) -> list[Frame]:
    """Return the frames of a body, and assert the form that every one of them has."""
    text = bytes(wire).replace(HEARTBEAT, b"").decode()

    assert "\r" not in text
    assert not text.startswith("\ufeff")
    assert text.endswith("\n\n")
    taken = [Frame([frame_field(line) for line in block.split("\n")]) for block in text.split("\n\n")[:-1]]
    for frame in taken:
        names = [name for name, _ in frame.fields]

        assert names == [name for name in FIELDS if name in names]
        assert names[-1] == "data"
    return taken


def frame_field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name, value


def heartbeats(wire: bytes | bytearray) -> int:
    """Return how many heartbeats came, and assert that each stands between frames with one newline, not two."""
    body = bytes(wire)
    alone = re.findall(rb"(?:(?<=\n\n)|(?<=: hb\n)|\A): hb\n(?!\n)", body)

    assert len(alone) == body.count(b": hb")
    return len(alone)
