"""Whether an answer was as good as promised. Pure.

One verdict for each answer, since separate histograms cannot tell whether the slow start, the slow pace and the long
silence were one reader's or three.
"""

from typing import Final

TTFT_S: Final = 2.0
"""To the first token: past it people doubt that anything happens; the objective of the time to first token."""
TIME_PER_TOKEN_S: Final = 0.05
"""20 tokens a second: some three times as fast as people read."""
MAX_GAP_S: Final = 1.0
"""The longest silence within an answer: past it an answer seems to have stopped; the objective of smoothness."""


def is_good(ttft_s: float | None, time_per_token_s: float | None, max_gap_s: float | None) -> bool:
    """Return whether a completed answer kept every limit; what was not measured broke none."""
    return (
        (ttft_s or 0.0) <= TTFT_S and (time_per_token_s or 0.0) <= TIME_PER_TOKEN_S and (max_gap_s or 0.0) <= MAX_GAP_S
    )
