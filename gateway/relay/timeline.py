"""Where the time of one connection went. Pure: moments come in, in seconds of one monotonic clock."""

from dataclasses import dataclass
from typing import Final

from services.telemetry.stages import spread
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

    @property
    def first_came(self) -> float | None:
        """When the first content came, before it waited for the client's headers."""
        return self.first_heard or self.first_content

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
