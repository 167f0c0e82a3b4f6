import pytest

from deploy.grafana.panel import Unit
from tests.monitoring.units import shown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, Unit.SECONDS, "0"),
        (0.00025, Unit.SECONDS, "250 µs"),
        (0.862, Unit.SECONDS, "862 ms"),
        (90, Unit.SECONDS, "1.5 min"),
        (0.005, Unit.SHARE, "0.5%"),
        (-3.2, Unit.SHARE, "-320%"),
        (192 << 10, Unit.BYTES, "192 KiB"),
        (14.4, Unit.COUNT, "14.4"),
        (5000, Unit.COUNT, "5 k"),
        (4.5, Unit.PER_SECOND, "4.5/s"),
        (3820, Unit.TOKENS_PER_SECOND, "3.82 k tok/s"),
        (60, Unit.TOKENS, "60 tok"),
        (1, Unit.YES_NO, "yes"),
    ],
)
def test_a_number_is_shown_in_three_digits_with_its_unit(value: float, unit: Unit, text: str) -> None:
    assert shown(value, unit) == text
