"""What a model server's language must be able to say. Pure: bytes in, parts of an answer out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from proxy.stream_log import StreamLog
from services.wire.events import Failed, FinishReason, Usage


@dataclass(frozen=True, slots=True)
class Question:
    """What is posted to a model server: a path of its API, from a constant table, and a JSON body."""

    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class LastWord:
    """The model server's own end of an answer; only this proves that the answer is whole.

    Attributes:
        load_s, prefill_s: as it measured them; None where it did not say.
        fields: its last fields as they came: the reason, and every counter and duration.
    """

    reason: FinishReason
    usage: Usage | None
    load_s: float | None
    prefill_s: float | None
    decode_s: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
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

    name: str

    def question(self) -> Question:
        """Return what asks the model."""
        ...

    def feed(self, chunk: bytes, log: StreamLog) -> LastWord | Failed | None:
        """Put what ``chunk`` completes into ``log``; return the answer's end when it is there."""
        ...

    def end(self, log: StreamLog, *, broke_off: bool = False) -> LastWord | Failed:
        """Return what the end of the body means: only the server's own last word proves an end.

        Args:
            broke_off: the connection broke, so that the last line may be half a line.
        """
        ...

    @property
    def silent(self) -> bool:
        """Whether nothing was said at all: asking again is safe."""
        ...

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Refusal:
        """Return what an answer that is no stream means."""
        ...
