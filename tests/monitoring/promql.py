"""What a PromQL expression asks for: its selectors, found without a grammar, and whether a series is among theirs."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_CLAUSE: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_SELECTOR: Final = re.compile(r"(?<![\w:.$])([a-zA-Z_:][\w:]*+)?\s*+(\{(?:[^}\"]|\"(?:[^\"\\]|\\.)*\")*\})?(?!\s*\()")
_MATCHER: Final = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"((?:[^\"\\]|\\.)*)\"")
_WORDS: Final = {"and", "or", "unless", "bool", "offset", "by", "on", "inf", "nan", "atan2"}


@dataclass(frozen=True)
class Selector:
    """A metric's name, empty where there is none, and its matchers: label, operator, value."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]

    def takes(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether a series is among those that it asks for."""
        return self.name in {"", name} and all(
            _matches(labels.get(label, ""), operator, value) for label, operator, value in self.matchers
        )


def _matches(label: str, operator: str, value: str) -> bool:
    alike = re.fullmatch(value, label) is not None if "~" in operator else value == label
    return alike is not operator.startswith("!")


def selectors(expression: str) -> Iterator[Selector]:
    """Yield the selectors of an expression."""
    for found in _SELECTOR.finditer(_CLAUSE.sub(" ", expression)):
        name, matchers = found[1] or "", found[2] or ""
        if (name or matchers) and name.lower() not in _WORDS:
            yield Selector(name, tuple(_MATCHER.findall(matchers)))


def grouping_labels(expression: str) -> set[str]:
    """Return the labels by which an expression adds up, joins or carries over."""
    return {label.strip() for clause in _CLAUSE.findall(expression) for label in clause.split(",") if label.strip()}


def unanswered(expression: str, series: Iterable[tuple[str, Mapping[str, str]]]) -> list[Selector]:
    """Return the selectors of an expression that none of these series is among."""
    known = list(series)
    return [one for one in selectors(expression) if not any(one.takes(name, labels) for name, labels in known)]
