"""W3C trace context: which trace a request belongs to, as who asks says it. Pure.

Both headers are passed on as they came, as the recommendation has it for who records no spans
(https://www.w3.org/TR/trace-context/). Refused: a span id of our own in between, whose span nobody would ever find.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

STATE_BYTES: Final = 512
"""What the recommendation asks everybody to carry; more is dropped, the trace itself is not."""
_PARENT: Final = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_STATE: Final = re.compile(rf"[\x20-\x7e]{{1,{STATE_BYTES}}}")


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace, by its headers: ``parent`` is `traceparent`; ``state`` is `tracestate`, "" for none."""

    parent: str
    state: str = ""

    @property
    def id(self) -> str:
        """Its id, in 32 hex digits."""
        return self.parent[3:35]

    @property
    def headers(self) -> dict[str, str]:
        """What a request that is part of it carries."""
        return {"traceparent": self.parent, **({"tracestate": self.state} if self.state else {})}


class Headers(Protocol):
    """A request's headers, of which one name may stand on several lines."""

    def getall(self, key: str, default: Sequence[str], /) -> Sequence[str]:
        """Return the values of a header, in order."""


def trace_of(headers: Headers) -> Trace | None:
    """Return the trace that a request says it belongs to; None where it names none in the form of version 00.

    Two parents are none. A state is one list, on however many lines it came.
    """
    parents = headers.getall("traceparent", ())
    if len(parents) != 1 or _PARENT.fullmatch(parents[0]) is None:
        return None
    state = ",".join(headers.getall("tracestate", ()))
    return Trace(parents[0], state if _STATE.fullmatch(state) else "")
