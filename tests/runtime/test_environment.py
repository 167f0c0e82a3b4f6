"""services/runtime/environment.py: names of variables, and those that were meant."""

import pytest

from services.runtime.environment import LOG_LEVEL, unknown_names

KNOWN = {"SLUICE_TERM_URL", LOG_LEVEL}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("SLUICE_TERM_ULR", ["SLUICE_TERM_ULR: unknown (did you mean SLUICE_TERM_URL?)"]),
        ("SLUICE_TRM_URL", ["SLUICE_TRM_URL: unknown (did you mean SLUICE_TERM_URL?)"]),
        ("SLUICE_QQQQQQQQQQQQ", ["SLUICE_QQQQQQQQQQQQ: unknown"]),
        ("SLUICE_PROXY_ANYTHING", []),
        ("TERM_URL", []),
        (LOG_LEVEL, []),
    ],
)
def test_of_our_names_those_of_no_process_are_told_with_the_nearest(name: str, told: list[str]) -> None:
    assert unknown_names([name], KNOWN, "SLUICE_TERM_") == told
