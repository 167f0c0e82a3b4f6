"""What was seen of one run: by its readers, in the servers' lines, and by the witness. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Part:
    """What one connection brought.

    Args:
        status: 0 where no head came.
        refusal: the code of an answer that is no stream.
        numbers: those of its events, in order.
        end: the reason of its terminal event, "" without one; "error" where the dialect has no word for a failure.
        logged: whether that event carried a number: it is the log's own.
        clean: whether the body had its proper end.
    """

    status: int = 0
    refusal: str = ""
    text: str = ""
    thinking: str = ""
    numbers: Sequence[int] = ()
    end: str = ""
    logged: bool = True
    clean: bool = False


@dataclass
class Reader:
    """One reader of the run's stream, connection after connection."""

    parts: list[Part] = field(default_factory=list)
    left: bool = False  # it went for good, before an end

    @property
    def text(self) -> str:
        """All text, in the order in which it came."""
        return "".join(part.text for part in self.parts)

    @property
    def thinking(self) -> str:
        """All reasoning, likewise."""
        return "".join(part.thinking for part in self.parts)

    @property
    def numbers(self) -> list[int]:
        """The numbers of all events, likewise."""
        return [number for part in self.parts for number in part.numbers]

    @property
    def last(self) -> Part:
        """The last connection; an empty one where there was none."""
        return self.parts[-1] if self.parts else Part()


@dataclass
class History:
    """One run.

    Args:
        readers: those of its stream.
        streams: the reasons of the proxy's lines of its request, oldest first.
        connections: the reasons of the gateways' lines of it.
        calls: the witness's record of its model's calls, oldest first.
        left_at: when its only reader left or cancelled, in seconds of the monotonic clock.
        failure: what the driver itself ran into.
    """

    readers: list[Reader] = field(default_factory=list)
    streams: list[str] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    left_at: float | None = None
    failure: str = ""
    cancelled: int | None = None  # the status that the cancel was answered with
    streams_are_known: bool = True  # a killed proxy writes no lines
