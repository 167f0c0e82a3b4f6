"""What is counted and logged of one stream, or of one connection with it."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What one tier knows of one stream at its end; times in seconds, None where there is no such number.

    ``stages`` add up to ``duration_s``. The rate and the time per token are None without the model server's count.
    ``upstream_s`` and ``first_chunk_s`` are of the call to the next server; ``added_*`` is what this tier itself took.
    ``good`` is the verdict on all that was promised of an answer, None where it is not judged.
    """

    kind: str
    model: str
    reason: str
    failed: bool
    duration_s: float
    ttft_s: float | None
    first_answer_s: float | None
    time_per_token_s: float | None
    tokens_per_s: float | None
    stages: Mapping[str, float]
    chunks: int
    input_tokens: int | None
    output_tokens: int | None
    max_gap_s: float | None = None
    upstream_s: float | None = None
    first_chunk_s: float | None = None
    added_first_token_s: float | None = None
    added_total_s: float | None = None
    good: bool | None = None
