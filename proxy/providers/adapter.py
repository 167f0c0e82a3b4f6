"""What a model server's language must be able to say. Pure: bytes in, parts of an answer out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol

from proxy.streams.log import StreamLog
from services.wire.events import Completion, Failed
from services.wire.request import ModelRequest

FINISH_S: Final = 2.0
"""How long after the finish reason its usage may take to come, and the end of the body: see ``has_finished``."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one attempt asks one model server.

    Args:
        request: what was asked, with the model's name as the client wrote it.
        model: what the model is called there.
        let_through: what the client may set in Ollama's own words, by their names.
        key: the server's, as it is now; None where it has none.
        stream: whether the answer comes as it is made, or whole at its end.
        without: the parameters that are left out, since this server refused them (:class:`AttemptFailed`).
    """

    request: ModelRequest
    model: str
    let_through: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = field(default=None, repr=False)
    stream: bool = True
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """What is asked of a model server.

    Args:
        path: of its API, behind the endpoint's base path.
        body: JSON; none for a GET.
        headers: what its language demands; a key may be among them, so they are never shown.
        dropped: the options that it cannot take and was not asked, sorted.
        streams: whether the answer comes as it is made: some requests have to be answered whole.
    """

    path: str
    body: bytes = b""
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    dropped: tuple[str, ...] = ()
    streams: bool = True


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An upstream call that showed nothing, or that broke off by the model server's own word.

    Args:
        failed: what the caller is told if it was the last attempt.
        why: the word for the metrics of retries and fallbacks.
        again: whether the same server may be asked again.
        next: whether another server may be asked; a request that is wrong is wrong everywhere.
        wait_s: how long it asked us to wait, in seconds; None if it did not say.
        without: the parameter that it refused: it may be asked once more, at once, without it.
    """

    failed: Failed
    why: str
    again: bool = True
    next: bool = True
    wait_s: float | None = None
    without: str | None = None


Outcome = Completion | Failed | AttemptFailed
"""How a call came out: whole, by the model server's own last word; broken, so that the answer cannot go on; or with
nothing that would keep another attempt from being made, unless content was shown before."""


class Adapter(Protocol):
    """One upstream call in one language; made anew for each call."""

    name: ClassVar[str]

    def request(self) -> UpstreamRequest:
        """Return what asks the model."""
        ...

    def feed(self, chunk: bytes, log: StreamLog) -> Outcome | None:
        """Put what ``chunk`` completes into ``log``; return the answer's end when it is there."""
        ...

    def end(self, log: StreamLog, *, broke_off: bool = False) -> Outcome:
        """Return what the end of the body means: only the server's own last word proves an end.

        It may bring content: what no line end completed, or an answer that came whole.

        Args:
            broke_off: the connection broke, so that the last line may be half a line.
        """
        ...

    @property
    def silent(self) -> bool:
        """Whether nothing was said at all: asking again is safe."""
        ...

    @property
    def has_finished(self) -> bool:
        """Whether the finish reason came, and what may follow is no content: :data:`FINISH_S` later it is the end."""
        ...

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer that is no stream means."""
        ...


AdapterFor = Callable[[Question], Adapter]
"""Makes the adapter of one call."""
