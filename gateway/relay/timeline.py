"""Where the time of one connection went. Pure: moments come in, in seconds of one monotonic clock."""

from dataclasses import dataclass
from typing import Final

from services.telemetry.stages import output_rate, spread
from services.telemetry.timeline import Timeline

OWN_STAGES: Final = ("pre", "admission", "connect", "network", "client_blocked", "post")
"""What the gateway owns; the rest of a connection's time is the proxy's: ``upstream``."""


@dataclass(slots=True)
class ConnectionTimeline(Timeline):
    """The moments of one connection. ``blocked_s`` is how long the client held the hop up.

    ``first_heard`` is when the first content came if it had to wait for the client's headers, else ``first_content``
    is.
    """

    first_heard: float | None = None
    blocked_s: float = 0.0
    spoken: float | None = None  # the last content of a turn, while the next has none
    between_s: float = 0.0  # turns: nobody's speed, and no gap

    @property
    def first_came(self) -> float | None:
        """When the first content came, before it waited for the client's headers."""
        return self.first_heard or self.first_content

    def turn_over(self) -> None:
        """A tool has run: the content that comes next is another turn's."""
        self.spoken, self.last_content = self.last_content or self.spoken, None

    def turn_spoke(self, now: float) -> None:
        """A turn has its first content."""
        if self.spoken is not None:
            self.between_s += now - self.spoken
            self.spoken = None

    def tokens_per_s(
        self, output_tokens: int | None, decode_s: float | None, reasoning_tokens: int | None = None
    ) -> float | None:
        """Return the rate of the answer as it came here, without the time between its turns."""
        shown = self.shown_tokens(output_tokens, reasoning_tokens)
        first = None if self.first_content is None else self.first_content + self.between_s
        last = self.last_content or self.spoken
        return output_rate(shown, first, last, pieces=self.content_reads, decode_s=decode_s)

    def stages(self, proxy_ttft_s: float | None) -> dict[str, float]:
        """Return the seconds of each stage and of ``upstream``; they add up to the total, whatever happened.

        Args:
            proxy_ttft_s: the proxy's own time to first token, if this connection saw the stream from its start: what
                the first content took longer to get here is the network between.
        """
        ended = self.ended or self.accepted
        steps = (
            ("pre", self.parsed),
            ("admission", self.admitted),
            ("connect", self.asked),
            ("upstream", self.answered),
            ("post", ended),
        )
        spent = spread(self.accepted, ended, steps, (*OWN_STAGES, "upstream"))
        self._take_out("client_blocked", self.blocked_s, spent)
        if proxy_ttft_s is not None and self.first_content is not None and self.asked is not None:
            self._take_out("network", self.first_content - self.asked - proxy_ttft_s, spent)
        return spent

    @staticmethod
    def _take_out(stage: str, seconds: float, spent: dict[str, float]) -> None:
        """Give to ``stage`` what was the gateway's own within the time upstream."""
        spent[stage] = max(0.0, min(seconds, spent["upstream"]))
        spent["upstream"] -= spent[stage]
