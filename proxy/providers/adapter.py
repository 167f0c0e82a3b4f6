"""What a model server's language must be able to say. Pure: bytes in, parts of an answer out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from proxy.streams.log import StreamLog
from services.wire.events import Completion, Failed
from services.wire.request import ModelRequest


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is posted to a model server: a path of its API, from a constant table, and a JSON body."""

    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An upstream call that showed nothing.

    Args:
        failed: what the caller is told if it was the last attempt.
        why: the word for the metric of retries.
        again: whether the same server may be asked again.
        wait_s: how long it asked us to wait, in seconds; None if it did not say.
    """

    failed: Failed
    why: str
    again: bool = True
    wait_s: float | None = None


class Adapter(Protocol):
    """One upstream call in one language; made anew for each call."""

    name: ClassVar[str]

    def request(self) -> UpstreamRequest:
        """Return what asks the model."""
        ...

    def feed(self, chunk: bytes, log: StreamLog) -> Completion | Failed | None:
        """Put what ``chunk`` completes into ``log``; return the answer's end when it is there."""
        ...

    def end(self, log: StreamLog, *, broke_off: bool = False) -> Completion | Failed:
        """Return what the end of the body means: only the server's own last word proves an end.

        Args:
            broke_off: the connection broke, so that the last line may be half a line.
        """
        ...

    @property
    def silent(self) -> bool:
        """Whether nothing was said at all: asking again is safe."""
        ...

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer that is no stream means."""
        ...


AdapterFor = Callable[[ModelRequest, Mapping[str, Any]], Adapter]
"""Makes the adapter of one call: for a request, and for what its client may set in the server's own words."""
