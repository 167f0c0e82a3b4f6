"""The dashboard's queries, put to a Prometheus as Grafana puts them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deploy.grafana.panel import Query
from tests.monitoring.prometheus import Prometheus

CHOSEN: Final = {
    "$__rate_interval": "1m",  # four scrapes of 15 s, as they are deployed
    "$model": ".*",
    "$job": "gateway|proxy",
    "$instance": ".*",
}


@dataclass(frozen=True)
class Window:
    """What is looked at: moments in Unix seconds, a step in seconds."""

    start: float
    end: float
    step_s: float = 2.0


@dataclass(frozen=True)
class Series:
    """One line of a panel; moments where there was nothing, or no number, are not among ``points``."""

    name: str
    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


def series(prometheus: Prometheus, query: Query, window: Window) -> list[Series]:
    """Return what a panel would draw of one of its queries: series without any number are left out."""
    found = prometheus.range(asked(query.expr), window.start, window.end, window.step_s)
    drawn = [_series(query, one["metric"], one["values"]) for one in found]
    return [one for one in drawn if one.points]


def asked(expression: str) -> str:
    """Return an expression with what is chosen where nobody chose anything."""
    for variable, value in CHOSEN.items():
        expression = expression.replace(variable, value)
    return expression


def _series(query: Query, labels: Mapping[str, str], values: list[tuple[float, str]]) -> Series:
    name = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), query.legend).strip()
    points = ((at, float(value)) for at, value in values)
    return Series(name, labels, tuple((at, value) for at, value in points if math.isfinite(value)))
