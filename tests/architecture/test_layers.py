"""Who may import whom, and what is pure, in the source as it is; test_rules.py shows that a breach would be seen."""

import sys
from collections.abc import Callable

import pytest

from tests.architecture import rules
from tests.architecture.arrows import ARROWS, FLOORS, PURE
from tests.architecture.rules import Modules
from tests.architecture.source import Module, source, within

WIRE_LIBRARIES = {"orjson"}
BODY_LIBRARIES = {"pydantic", "pydantic_core", "annotated_types"}
BODY_MODULES = ("services.wire.bodies", "services.wire.server_tools", "services.wire.validation")


def modules_of(*packages: str) -> list[Module]:
    return [module for name, module in source().items() if within(name, packages)]


@pytest.mark.parametrize(
    "rule",
    [rules.homeless, rules.strange_imports, rules.upward_imports, rules.circles, rules.impurities, rules.shells],
)
def test_the_source_breaks_no_rule(rule: Callable[[Modules], list[str]]) -> None:
    assert rule(source()) == []


def test_every_row_is_about_what_exists() -> None:
    parts = [f"{server}.{part}" for server, floors in FLOORS.items() for parts in floors for part in parts]
    allowed = [name for row in ARROWS.values() for name in row]

    assert [name for name in (*ARROWS, *allowed, *parts, *PURE) if name not in source()] == []


@pytest.mark.parametrize("name", PURE)
def test_what_must_be_pure_says_so(name: str) -> None:
    assert rules.is_pure(name, source())


@pytest.mark.parametrize("module", modules_of("services.wire"), ids=lambda module: module.name)
def test_the_wire_stands_on_the_standard_library_and_orjson_and_only_bodies_are_validated_by_a_library(
    module: Module,
) -> None:
    roots = {name.partition(".")[0] for name in module.imports} - sys.stdlib_module_names - {"services"}
    allowed = WIRE_LIBRARIES | BODY_LIBRARIES if within(module.name, BODY_MODULES) else WIRE_LIBRARIES

    assert roots <= allowed


@pytest.mark.parametrize("server", FLOORS)
def test_one_module_of_a_server_calls_out(server: str) -> None:
    """Others may name what a call failed with; only one can make calls."""
    client = "services.http.client.HttpClient"
    callers = [module.name for module in modules_of(server) if client in module.imports]

    assert len(callers) == 1
