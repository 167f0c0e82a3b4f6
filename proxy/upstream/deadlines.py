"""How long a model server may take: what is a setting, and what has a reason of its own."""

from dataclasses import dataclass
from typing import Final

from services.wire.events import Code, Failed, Stage

IDLE_FACTOR: Final = 4
"""With tools or a format the model server holds a whole call back: its silence lasts longer."""
LAST_CHUNK_S: Final = 1.0
"""How long after its last word a model server may take to end the body; the connection can be kept if it does."""
NEXT_AFTER_S: Final = 60.0
"""How long a server may take to its first token where another could be asked, if its operator does not say."""
WHOLE_S: Final = 120.0
"""How long an answer may take that is not streamed: nothing is seen of it before."""
IDLE_S: Final = 120.0
"""How long a server may be silent that sends pings, and thinks hidden: from its last content."""

FIRST_TOKEN_TIMEOUT: Final = Failed(
    Code.UPSTREAM_TIMEOUT, "The model server gave no first token in time.", stage=Stage.FIRST_TOKEN
)
IDLE: Final = Failed(Code.UPSTREAM_TIMEOUT, "The model server fell silent.", stage=Stage.IDLE)
TOTAL: Final = Failed(
    Code.UPSTREAM_TIMEOUT, "The answer took longer than an answer may take.", stage=Stage.TOTAL, retryable=False
)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a model server may take, in seconds, where it has no times of its own."""

    first_token_s: float
    idle_s: float
    total_s: float

    def first_token_due(self, asked_at: float, absent_at: float, *, own_s: float | None, has_others: bool) -> float:
        """Return when a server must have given its first token: sooner where another could be asked.

        Where its operator does not say, a model that is being loaded is waited for all the same, and has all of its
        time behind the load: giving up would only have it loaded elsewhere, too.

        Args:
            absent_at: when the model was last seen not to be in memory.
            own_s: what the server's operator says.
            has_others: whether another could be asked.
        """
        if own_s is not None:
            return asked_at + own_s
        latest = asked_at + self.first_token_s
        return min(max(asked_at, absent_at) + NEXT_AFTER_S, latest) if has_others else latest
