"""What is counted and logged of one stream, or of one connection with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.telemetry.stages import milliseconds


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """What one tier knows of one stream at its end; times in seconds, None where there is no such number.

    ``stages`` add up to ``duration_s``; ``tools`` is among them where tools ran.
    ``tokens_per_s`` is what :func:`~services.telemetry.stages.output_rate` says.
    ``upstream_s`` and ``first_chunk_s`` are of the call to the next server; ``added_*`` is what this tier itself took.
    ``provider`` is whose language the one spoke who was asked last, "" where there is but one.
    ``good`` is the verdict on all that was promised of an answer, None where it is not judged.
    """

    kind: str
    model: str
    reason: str
    failed: bool
    duration_s: float
    ttft_s: float | None
    first_answer_s: float | None
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
    provider: str = ""

    @property
    def time_per_token_s(self) -> float | None:
        """The pace from the reader's side."""
        return 1 / self.tokens_per_s if self.tokens_per_s else None

    def log_fields(self) -> dict[str, Any]:
        """Return what both tiers' `stream.finished` lines say of it; the stages add up to ``dur_ms``."""
        return {
            "operation": self.kind,
            "reason": self.reason,
            "dur_ms": milliseconds(self.duration_s),
            "ttft_ms": milliseconds(self.ttft_s),
            "ttfa_ms": milliseconds(self.first_answer_s),
            "tpot_ms": milliseconds(self.time_per_token_s),
            "max_gap_ms": milliseconds(self.max_gap_s),
            "rate_tps": self.tokens_per_s,
            "added_first_ms": milliseconds(self.added_first_token_s),
            "added_total_ms": milliseconds(self.added_total_s),
            "stages": {f"{stage}_ms": round(seconds * 1000, 3) for stage, seconds in self.stages.items()},
            "tokens_in": self.input_tokens,
            "tokens_out": self.output_tokens,
        }
