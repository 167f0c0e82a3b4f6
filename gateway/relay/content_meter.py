"""When content passed, measured at the reads of the hop."""

import time
from collections.abc import Callable

from gateway.relay.timeline import ConnectionTimeline


class ContentMeter:
    """Notes the moments of one connection's content.

    Args:
        gap_seen: told the seconds between two reads with content.
        chunk_passed: told the seconds from a read to the return of its write, of one read in sixteen.
    """

    def __init__(
        self, timeline: ConnectionTimeline, *, gap_seen: Callable[[float], None], chunk_passed: Callable[[float], None]
    ) -> None:
        self.timeline = timeline
        self.gap_seen = gap_seen
        self._chunk_passed = chunk_passed

    @property
    def ttft_s(self) -> float | None:
        """From the request to the first content, None where none came."""
        first = self.timeline.first_content
        return None if first is None else first - self.timeline.accepted

    def content_came(self, now: float, *, answers: bool) -> None:
        """Note a read with content.

        Args:
            answers: some of it is no thinking.
        """
        gap_s = self.timeline.content_came(now, answers)
        if gap_s is not None:
            self.gap_seen(gap_s)
        else:
            self.timeline.turn_spoke(now)

    def first_frames_left(self) -> None:
        """What came before there was a sink has been handed to it."""
        timeline, written = self.timeline, time.monotonic()
        timeline.first_written = None if timeline.first_content is None else written
        timeline.last_written = None if timeline.answered is None else written

    def handed_on(self, read_at: float) -> None:
        """Note what a sampled read took to its write."""
        written = time.monotonic()
        if self.timeline.first_written is None:
            self.timeline.first_written = written
        self._chunk_passed(written - read_at)
