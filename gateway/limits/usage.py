"""What was used: requests, tokens and seconds by day, key and model. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

DAYS: Final = 31
"""That are kept and shown: a month's bill can be made from it, on its last day."""
ROWS_MAX: Final = 20_000
"""Of one gateway's memory, some 5 MB; of more the oldest go first."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The tokens of an answer, as far as it is known: where the model server gave no count, its pieces."""

    input_tokens: int = 0
    output_tokens: int = 0

    @classmethod
    def counted(cls, usage: Mapping[str, Any] | None, pieces: int) -> "Spent":
        """Return what an answer of so many pieces used, by the model server's ``usage`` as `done` tells it."""
        usage = usage or {}
        output_tokens = usage.get("output_tokens")
        return cls(usage.get("input_tokens") or 0, pieces if output_tokens is None else output_tokens)

    @property
    def tokens(self) -> int:
        """All of them: a prompt keeps a card busy, too."""
        return self.input_tokens + self.output_tokens


class Of(NamedTuple):
    """What a row of usage is of."""

    day: str
    key: str  # its id
    model: str


@dataclass(slots=True)
class Used:
    """What was used."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0

    def add(self, spent: Spent, seconds: float) -> None:
        """Count one more answer."""
        self.requests += 1
        self.input_tokens += spent.input_tokens
        self.output_tokens += spent.output_tokens
        self.seconds += seconds


class Usage:
    """What one gateway saw being used; a restart begins it anew."""

    def __init__(self) -> None:
        self.rows: dict[Of, Used] = {}  # the oldest day first, since days only begin

    def add(self, of: Of, spent: Spent, seconds: float) -> None:
        """Count one answer that took so many seconds from its acceptance to its end."""
        self.rows.setdefault(of, Used()).add(spent, seconds)
        if len(self.rows) > ROWS_MAX:
            del self.rows[next(iter(self.rows))]

    def of_day(self, day: str) -> dict[Of, Used]:
        """Return the rows of one day."""
        return {of: used for of, used in self.rows.items() if of.day == day}

    def forget_before(self, day: str) -> None:
        """Forget the days before ``day``."""
        self.rows = {of: used for of, used in self.rows.items() if of.day >= day}


def told(rows: Mapping[Of, Used], keys: Collection[str] | None) -> list[dict[str, object]]:
    """Return usage as people read it, the newest day first: of these keys, or of all for None."""
    newest_first = sorted(sorted(rows.items()), key=lambda row: row[0].day, reverse=True)
    return [_row(of, used) for of, used in newest_first if keys is None or of.key in keys]


def _row(of: Of, used: Used) -> dict[str, object]:
    return {
        **of._asdict(),
        "requests": used.requests,
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "seconds": round(used.seconds, 3),
    }
