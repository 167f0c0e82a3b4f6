"""The moments of one connection, and where its time went. Pure: moments come in, in seconds of one monotonic clock."""

from dataclasses import dataclass
from typing import Final

from services.telemetry.stages import output_rate, spread

OWN_STAGES: Final = ("pre", "admission", "connect", "network", "client_blocked", "post")
"""What the gateway owns; the rest of a connection's time is the proxy's: ``upstream``."""


@dataclass(slots=True)
class Timeline:
    """What happened when; None has not happened. ``blocked_s`` is how long the client held the hop up.

    ``first_heard`` is when the first content came if it had to wait for the client's headers, else ``first_content``
    is; ``first_written`` and ``last_written`` are when it, and the terminal frame, had been handed to the sink.
    """

    accepted: float
    parsed: float | None = None
    admitted: float | None = None
    asked: float | None = None
    first_heard: float | None = None
    first_content: float | None = None
    first_answer: float | None = None  # the first content that is no thinking
    first_written: float | None = None
    last_content: float | None = None
    answered: float | None = None  # the terminal event came
    last_written: float | None = None
    ended: float | None = None
    blocked_s: float = 0.0
    content_reads: int = 0
    max_gap_s: float = 0.0  # between two reads with content

    @property
    def first_chunk_s(self) -> float | None:
        """From asking the proxy to its first content; None where none came."""
        heard = self.first_heard or self.first_content
        return None if heard is None or self.asked is None else heard - self.asked

    @property
    def upstream_s(self) -> float | None:
        """How long the call of the proxy took; None where none was made."""
        until = self.answered or self.ended
        return None if self.asked is None or until is None else until - self.asked

    @property
    def added_first_token_s(self) -> float | None:
        """What the gateway itself added to the first token: before it asked, the admission left out, and on its way.

        None where no token was written.
        """
        heard = self.first_heard or self.first_content
        if self.first_written is None or heard is None:
            return None
        return self._before_asking_s() + self.first_written - heard

    @property
    def added_total_s(self) -> float | None:
        """What the gateway itself added to the whole answer; None where the proxy did not end it.

        While the client holds the hop up the end is not read either: that time is the call's, and not ours.
        """
        if self.answered is None or self.last_written is None:
            return None
        return self._before_asking_s() + self.last_written - self.answered

    def _before_asking_s(self) -> float:
        queued = 0.0 if self.admitted is None or self.parsed is None else self.admitted - self.parsed
        return (self.asked or self.accepted) - self.accepted - queued

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

    def tokens_per_s(self, output_tokens: int | None, decode_s: float | None) -> float | None:
        """Return the rate of the answer as it came here, None without the model server's count.

        Args:
            decode_s: how long the model server says that it decoded.
        """
        return output_rate(
            output_tokens, self.first_content, self.last_content, pieces=self.content_reads, decode_s=decode_s
        )
