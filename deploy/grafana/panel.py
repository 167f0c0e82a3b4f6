"""A panel as a reader thinks of it, and rows of them. Pure data."""

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What a panel's numbers are, in Grafana's words."""

    SECONDS = "s"
    SHARE = "percentunit"
    BYTES = "bytes"
    COUNT = "short"
    PER_SECOND = "cps"
    TOKENS = "suffix: tok"
    TOKENS_PER_SECOND = "suffix: tok/s"
    YES_NO = "bool_yes_no"


class View(StrEnum):
    """How a panel is drawn, by the name of Grafana's visualization; ``STACK`` is lines that add up."""

    NUMBER = "stat"
    LINES = "timeseries"
    STACK = "stack"
    HEATMAP = "heatmap"
    STATES = "state-timeline"


@dataclass(frozen=True, slots=True)
class Limit:
    """Where a panel turns red: at the limit of an objective, or where an alert calls somebody.

    Attributes:
        value: in the panel's unit.
        runbook: the page of docs/runbooks that says what to do; "" where only a single answer is judged by it.
        low: red is below, not above.
    """

    value: float
    runbook: str = ""
    low: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What is drawn, and what each of its series is called.

    Attributes:
        shades: the colour of all its series, "" where each may have another.
        apart: in a stack, a line across it and no layer.
    """

    expr: str
    legend: str = ""
    shades: str = ""
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One question that operators have, and its answer.

    Attributes:
        title: the question in a few words.
        sentence: what is seen, and what to think of it.
        width: of the 24 columns of the screen.
    """

    title: str
    sentence: str
    unit: Unit
    queries: tuple[Query, ...]
    view: View = View.LINES
    limit: Limit | None = None
    width: int = 8


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side, and one line below the other.

    Attributes:
        heights: of its lines, in Grafana's units of 38 pixels; the last is that of all that follow.
    """

    title: str
    panels: tuple[Panel, ...]
    heights: tuple[int, ...] = (7,)
