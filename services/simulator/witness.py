"""What was asked of the simulator and what it made of it: the evidence for "generation stops when the reader leaves".

Times are CLOCK_MONOTONIC seconds (``time.monotonic``), comparable between processes of one machine.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

MAX_CALLS: Final = 20_000  # of a few hundred bytes each: some ten megabytes
MAX_HEADERS_BYTES: Final = 4096  # beyond it none of a call's header fields are kept
MAX_BODY_BYTES: Final = 64 << 10  # a longer body is kept as its size alone
MAX_NAMES: Final = 10_000  # of models; those that nobody asks now make room
MAX_BODIES_BYTES: Final = 64 << 20  # of all the bodies that are kept; the oldest calls make room


class State(StrEnum):
    """Where a call stands."""

    RECEIVED = "received"
    QUEUED = "queued"  # in the line of a load or of a permit
    LOADING = "loading"
    PREFILL = "prefill"  # it has its permit, and no line yet
    STREAMING = "streaming"
    ENDED = "ended"


class CallEnd(StrEnum):
    """How a call came to its end."""

    ANSWERED = "answered"  # the response is whole
    CLOSED = "closed"  # the simulator closed the connection: a fault
    RESET = "reset"  # the simulator reset it: a fault
    LEFT = "left"  # the reader went first
    STOPPED = "stopped"  # the simulator was stopped


@dataclass
class Call:
    """One request; a time is None until it has come."""

    id: int
    method: str
    path: str
    opened_at: float
    body_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    body: Any = None
    fault: str = ""
    state: State = State.RECEIVED
    status: int | None = None
    lines: int = 0
    tokens: int = 0
    lines_after_left: int = 0
    tokens_after_left: int = 0
    bytes_sent: int = 0
    permitted_at: float | None = None
    first_line_at: float | None = None
    left_at: float | None = None
    closed_at: float | None = None
    end: CallEnd | None = None


@dataclass
class ModelUse:
    """One model's calls: how many now, and how many at most; ``running`` are those that hold a permit."""

    calls: int = 0
    most_calls: int = 0
    running: int = 0
    most_running: int = 0


@dataclass
class Witness:
    """The record of all calls, bounded, and the totals, which are not cut off.

    Args:
        now: the monotonic clock, in seconds.
    """

    now: Callable[[], float]
    connections_open: int = 0
    connections_total: int = 0
    calls_now: int = 0
    calls_total: int = 0
    by_model: dict[str, ModelUse] = field(default_factory=dict)
    _calls: deque[Call] = field(default_factory=deque)
    _last_id: int = 0
    _body_bytes: int = 0
    _asked: Counter[str] = field(default_factory=Counter)

    @property
    def calls(self) -> list[Call]:
        """The calls that are kept, oldest first."""
        return list(self._calls)

    def opened(self, method: str, path: str, headers: Mapping[str, str], body_bytes: int) -> Call:
        """Record a request that has arrived whole; header names are in lower case."""
        self.calls_total += 1
        self.calls_now += 1
        self._last_id += 1
        call = Call(self._last_id, method, path, self.now(), body_bytes)
        if sum(map(len, headers.values())) <= MAX_HEADERS_BYTES:
            call.headers = headers
        self._calls.append(call)
        self._make_room()
        return call

    def asks(self, call: Call, model: str, body: Any) -> None:
        """Record whom a call asks, and with what."""
        call.model = model
        if body is not None and call.body_bytes <= MAX_BODY_BYTES:
            call.body = body
            self._body_bytes += call.body_bytes
            self._make_room()
        self._use(model).calls += 1

    def counted(self, model: str) -> None:
        """Record how many calls ``model`` has now, if they were never so many."""
        use = self._use(model)
        use.most_calls = max(use.most_calls, use.calls)

    def times_asked(self, model: str) -> int:
        """Return how often ``model`` has been asked by this very name, this time included."""
        if len(self._asked) > MAX_NAMES:
            self._asked.clear()
        self._asked[model] += 1
        return self._asked[model]

    def permitted(self, call: Call) -> None:
        """Record that a call holds a permit of its model."""
        call.state, call.permitted_at = State.PREFILL, self.now()
        use = self._use(call.model or "")
        use.running += 1
        use.most_running = max(use.most_running, use.running)

    def made(self, call: Call, lines: int, tokens: int) -> None:
        """Record lines and tokens that were made, and whether anybody was there to read them."""
        call.lines += lines
        call.tokens += tokens
        if call.left_at is not None:
            call.lines_after_left += lines
            call.tokens_after_left += tokens
        elif call.first_line_at is None and lines:
            call.state, call.first_line_at = State.STREAMING, self.now()

    def left(self, call: Call) -> None:
        """Record that the reader's FIN or RST was seen."""
        if call.left_at is None and call.end is None:
            call.left_at = self.now()

    def ended(self, call: Call, end: CallEnd) -> None:
        """Record the end of a call; only its first end counts."""
        if call.state is State.ENDED:
            return
        call.state, call.end, call.closed_at = State.ENDED, end, self.now()
        self.calls_now -= 1
        if call.model is not None:
            use = self._use(call.model)
            use.calls -= 1
            use.running -= call.permitted_at is not None

    def clear(self) -> None:
        """Forget the calls that have ended, and every maximum; what runs stays."""
        self._calls = deque(call for call in self._calls if call.state is not State.ENDED)
        self._body_bytes = sum(call.body_bytes for call in self._calls if call.body is not None)
        self._asked.clear()
        self.calls_total, self.connections_total = self.calls_now, self.connections_open
        self.by_model = {
            model: ModelUse(use.calls, use.calls, use.running, use.running)
            for model, use in self.by_model.items()
            if use.calls
        }

    def report(self, after: int = 0) -> dict[str, Any]:
        """Return the totals, and the calls with an id beyond ``after``."""
        return {
            "now": self.now(),
            "totals": {
                "connections_open": self.connections_open,
                "connections_total": self.connections_total,
                "calls_now": self.calls_now,
                "calls_total": self.calls_total,
                "lines": sum(call.lines for call in self._calls),
                "tokens": sum(call.tokens for call in self._calls),
                "lines_after_left": sum(call.lines_after_left for call in self._calls),
                "tokens_after_left": sum(call.tokens_after_left for call in self._calls),
            },
            "models": {model: asdict(use) for model, use in self.by_model.items()},
            "calls": [asdict(call) for call in self._calls if call.id > after],
        }

    def _use(self, model: str) -> ModelUse:
        if len(self.by_model) > MAX_NAMES:
            self.by_model = {name: use for name, use in self.by_model.items() if use.calls}
        return self.by_model.setdefault(model, ModelUse())

    def _make_room(self) -> None:
        while len(self._calls) > MAX_CALLS or self._body_bytes > MAX_BODIES_BYTES:
            oldest = self._calls.popleft()
            self._body_bytes -= oldest.body_bytes if oldest.body is not None else 0
