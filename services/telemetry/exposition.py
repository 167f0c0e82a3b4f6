"""The page of a scrape, in Prometheus' text format.

prometheus_client makes a sample of each line and a line of each sample (4 µs a line): two servers' pages took 9 ms and
more of a core on which tokens waited. A family of ours writes its own lines; the others are few.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_PLAIN_BELOW: Final = 1_000_000
"""From here on Go writes an exponent."""


class TextCollector(Collector):
    """A family that writes its own lines."""

    @abstractmethod
    def text(self) -> str:
        """Return its part of the page; called in the scrape's thread."""


class PagedRegistry(CollectorRegistry):
    """A registry that knows its page."""

    def __init__(self) -> None:
        super().__init__()
        self._in_order: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """Take in a family."""
        super().register(collector)
        self._in_order.append(collector)

    def page(self) -> bytes:
        """Return what a scrape gets; called in its thread."""
        return b"".join([_text_of(collector) for collector in tuple(self._in_order)])


def heading(name: str, kind: str, documentation: str) -> str:
    """Return the two lines above a family's; our documentation is one line without a backslash."""
    return f"# HELP {name} {documentation}\n# TYPE {name} {kind}\n"


def label_pairs(names: Sequence[str], values: Sequence[str]) -> list[tuple[str, str]]:
    """Return the labels of a series as they stand on its lines: in the order of their names."""
    return sorted((name, f'{name}="{_escaped(str(value))}"') for name, value in zip(names, values, strict=True))


def braced(pairs: Sequence[str]) -> str:
    """Return labels as they follow a name."""
    return f"{{{','.join(pairs)}}}" if pairs else ""


def number(value: float) -> str:
    """Return a number as Go writes it."""
    if isinstance(value, int) and 0 <= value < _PLAIN_BELOW:
        return f"{value}.0"
    written: str = floatToGoString(value)  # type: ignore[no-untyped-call] # it has no annotations
    return written


def _text_of(collector: Collector) -> bytes:
    if isinstance(collector, TextCollector):
        return collector.text().encode()
    return generate_latest(collector)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
