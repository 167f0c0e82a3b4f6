"""The figures of a whole bench: by name and contender, one value a round. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Self


@dataclass(frozen=True)
class Spread:
    """What several rounds came to."""

    middle: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Self:
        """Of at least one value."""
        return cls(median(values), min(values), max(values))


@dataclass
class Results:
    """Figures as they come in, and what came to none, in words.

    Args:
        contenders: who is measured, in the order in which they are shown.
    """

    contenders: Sequence[str]
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, contender: str, figures: Mapping[str, float]) -> None:
        """Add what one contender came to in one round."""
        for name, value in figures.items():
            self.figures.setdefault(name, {}).setdefault(contender, []).append(value)

    def spread(self, figure: str, contender: str) -> Spread | None:
        """Return a figure's spread; None where it was not measured."""
        values = self.figures.get(figure, {}).get(contender)
        return Spread.of(values) if values else None

    def ratio(self, figure: str, contender: str, reference: str) -> Spread | None:
        """Return a figure divided by that of ``reference``, round by round: what both share of the machine cancels."""
        both = self.figures.get(figure, {})
        pairs = zip(both.get(contender, []), both.get(reference, []), strict=False)
        values = [one / other for one, other in pairs if other]
        return Spread.of(values) if values else None
