"""What the turns of one answer add up to. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from services.wire.events import Completion, FinishReason, Usage

N = TypeVar("N", int, float)


def total_of(words: Sequence[Completion], reason: FinishReason) -> Completion:
    """Return the last word of an answer by the last words of its turns: sums, and the answer's own reason.

    What one of them did not say is not known of the whole either: half a count would pass for all of it.
    """
    if len(words) == 1:
        return words[0] if words[0].reason is reason else replace(words[0], reason=reason)
    return Completion(
        reason,
        _usage([word.usage for word in words]),
        load_s=_sum(word.load_s for word in words),
        prefill_s=_sum(word.prefill_s for word in words),
        decode_s=_sum(word.decode_s for word in words),
        fields=_fields([word.fields for word in words]),
    )


def _usage(usages: Sequence[Usage | None]) -> Usage | None:
    told = [usage for usage in usages if usage is not None]
    if len(told) < len(usages):
        return None
    return Usage(
        _sum(usage.input_tokens for usage in told),
        _sum(usage.output_tokens for usage in told),
        _sum(usage.reasoning_tokens for usage in told),
    )


def _fields(fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the last fields, each number the sum of all; one that a turn did not say is left out."""
    return {
        name: sum(one[name] for one in fields) if isinstance(value, int | float) else value
        for name, value in fields[-1].items()
        if all(name in one for one in fields)
    }


def _sum(values: Iterable[N | None]) -> N | None:
    """Return the sum; None where one of them is not known."""
    told = list(values)
    return sum(value for value in told if value is not None) if None not in told else None
