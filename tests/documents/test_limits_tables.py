"""ARCHITECTURE.md's bounds, limits and homes against the constants, settings, metrics and files that they name."""

import importlib
import re
from collections.abc import Iterator

import pytest

import gateway.metrics
import proxy.metrics
from tests.architecture.source import ROOT
from tests.documents.declared import settings_of
from tests.documents.tables import table, words

CONSTANT = re.compile(r"(?:services|proxy|gateway)\.[a-z_.]+\.[A-Z][A-Z_]+")
SETTING = re.compile(r"SLUICE_[A-Z_]+")
ROWS = [
    (row[0], row[column], row[column + 1])
    for marker, column in (("bounds", 1), ("limits", 2))
    for row in table("ARCHITECTURE.md", marker)
]


def values(cell: str) -> Iterator[float]:
    """Yield what the constants and settings that a cell names are set to."""
    defaults = {row.name: row.default for package in ("proxy", "gateway") for row in settings_of(package)}
    for name in SETTING.findall(cell):
        yield float(defaults[name])
    for name in CONSTANT.findall(cell):
        module, _, constant = name.rpartition(".")
        yield float(getattr(importlib.import_module(module), constant))


def spellings(value: float) -> set[str]:
    sizes = {f"{value / unit:,g} {name}" for unit, name in ((1 << 10, "KiB"), (1 << 20, "MiB")) if value % unit == 0}
    return sizes | {f"{value:,g}"}


@pytest.mark.parametrize(("what", "bound", "set_by"), ROWS, ids=[row[0] for row in ROWS])
def test_a_bound_is_what_its_setting_or_constant_says(what: str, bound: str, set_by: str) -> None:
    named = list(values(set_by))
    unsaid = [value for value in named if not any(spelt(text, bound) for text in spellings(value))]

    assert named, what
    assert unsaid == []


def spelt(text: str, cell: str) -> bool:
    return re.search(rf"(?<![\d,]){re.escape(text)}(?![\d,]*\d)", cell) is not None


def test_the_tests_that_reach_a_bound_are_there() -> None:
    named = {name for row in table("ARCHITECTURE.md", "bounds") for name in re.findall(r"[\w/]+/test_\w+", row[5])}

    assert [name for name in sorted(named) if not (ROOT / "tests" / f"{name}.py").is_file()] == []


def test_the_metrics_that_show_a_bound_are_there() -> None:
    families = {name for name, _, _ in [*proxy.metrics.families(), *gateway.metrics.families()]}
    named = {name for row in table("ARCHITECTURE.md", "bounds") for name in re.findall(r"llm_\w+", row[4])}

    assert named <= families


def test_the_home_of_each_rule_is_there() -> None:
    homes = [home for row in table("ARCHITECTURE.md", "homes") for home in re.findall(r"[\w/]+\.py", row[1])]

    assert len(homes) >= len(words("ARCHITECTURE.md", "homes"))
    assert [home for home in homes if not (ROOT / home).is_file()] == []
