"""Numbers as a panel shows them, in its unit."""

from collections.abc import Sequence
from typing import Final

from deploy.grafana.panel import Unit

Scale = Sequence[tuple[float, str]]  # from which value on, and what it is called; the largest first
SECONDS: Final[Scale] = ((60, "min"), (1, "s"), (1e-3, "ms"), (1e-6, "µs"))
BYTES: Final[Scale] = ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
COUNT: Final[Scale] = ((1e6, "M"), (1e3, "k"), (1, ""))


def shown(value: float, unit: Unit) -> str:
    """Return a number with its unit, in three digits."""
    match unit:
        case Unit.SECONDS:
            return _scaled(value, SECONDS)
        case Unit.BYTES:
            return _scaled(value, BYTES)
        case Unit.SHARE:
            return f"{_digits(100 * value)}%"
        case Unit.PER_SECOND:
            return f"{_digits(value)}/s"
        case Unit.TOKENS | Unit.TOKENS_PER_SECOND:
            return f"{_scaled(value, COUNT)} {unit.removeprefix('suffix: ')}"
        case Unit.COUNT:
            return _scaled(value, COUNT)
        case Unit.YES_NO:
            return "yes" if value else "no"


def _scaled(value: float, scale: Scale) -> str:
    if value == 0:
        return "0"
    one, name = next((step for step in scale if abs(value) >= step[0]), scale[-1])
    return f"{_digits(value / one)} {name}".rstrip()


def _digits(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
