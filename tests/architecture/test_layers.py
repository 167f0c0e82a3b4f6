"""Who may import whom: ARCHITECTURE.md, "Who may import whom", read from the source."""

import ast
import graphlib
import sys

import pytest

from tests.architecture.source import Module, source, within

SHARED = ("services.runtime", "services.wire")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "services.wire": (),
    "services.runtime": (),
    "services.simulator": SHARED,
    "services.webchat": SHARED,
    "services.termchat": SHARED,
    "proxy": SHARED,
    "gateway": SHARED,
    "deploy": ("services.runtime",),
}

PURE = (
    "services.wire",
    "proxy.chain",
    "proxy.providers",
    "proxy.stream_log",
    "proxy.dialects",
    "gateway.dialects",
)
IMPURE_LIBRARIES = {
    *("asyncio", "concurrent", "multiprocessing", "selectors", "signal", "subprocess", "threading"),
    *("aiohttp", "http", "httptools", "socket", "ssl", "urllib", "uvloop"),
    *("io", "os", "pathlib", "sys", "time"),
    *("logging", "prometheus_client", "structlog"),
}
IMPURE_CALLS = frozenset({"open", "print", "input"})
CLOCK_METHODS = frozenset({"now", "today", "utcnow"})
WIRE_LIBRARIES = {"orjson"}
BODY_LIBRARIES = {"pydantic", "pydantic_core", "annotated_types"}
BODY_MODULES = ("services.wire.bodies", "services.wire.chat")

SERVERS = ("proxy", "gateway")


def modules_of(*packages: str) -> list[Module]:
    return [module for name, module in source().items() if within(name, packages)]


def test_every_module_belongs_to_a_package_with_a_rule() -> None:
    homeless = [name for name in source() if name != "services" and not within(name, tuple(MAY_IMPORT))]

    assert homeless == []


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_of_ours_only_what_its_layer_may(package: str) -> None:
    allowed = (package, *MAY_IMPORT[package])
    broken = [
        f"{module.name} imports {name}"
        for module in modules_of(package)
        for name in sorted(module.ours)
        if not within(name, allowed)
    ]

    assert broken == []


def test_no_imports_go_round_in_a_circle() -> None:
    graph = {name: module.ours - {name} for name, module in source().items()}

    order = list(graphlib.TopologicalSorter(graph).static_order())

    assert len(order) == len(graph)


@pytest.mark.parametrize("module", modules_of(*PURE), ids=lambda module: module.name)
def test_a_pure_module_imports_no_io_no_clock_and_no_logger(module: Module) -> None:
    roots = {name.partition(".")[0] for name in module.imports}

    assert roots & IMPURE_LIBRARIES == set()


@pytest.mark.parametrize("module", modules_of(*PURE), ids=lambda module: module.name)
def test_a_pure_module_imports_of_ours_only_pure_modules(module: Module) -> None:
    impure = [name for name in module.ours if not within(name, PURE)]

    assert impure == []


@pytest.mark.parametrize("module", modules_of(*PURE), ids=lambda module: module.name)
def test_a_pure_module_awaits_nothing_and_asks_no_clock_file_or_terminal(module: Module) -> None:
    found = [
        f"line {node.lineno}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.expr | ast.stmt) and is_impure(node)
    ]

    assert found == []


def is_impure(node: ast.expr | ast.stmt) -> bool:
    if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Name):
        return called.id in IMPURE_CALLS
    return isinstance(called, ast.Attribute) and called.attr in CLOCK_METHODS


@pytest.mark.parametrize("module", modules_of("services.wire"), ids=lambda module: module.name)
def test_the_wire_stands_on_the_standard_library_and_orjson_and_only_bodies_are_validated_by_a_library(
    module: Module,
) -> None:
    roots = {name.partition(".")[0] for name in module.imports} - sys.stdlib_module_names - {"services"}
    allowed = WIRE_LIBRARIES | BODY_LIBRARIES if within(module.name, BODY_MODULES) else WIRE_LIBRARIES

    assert roots <= allowed


@pytest.mark.parametrize("server", SERVERS)
def test_one_module_of_a_server_calls_out(server: str) -> None:
    """Others may name what a call failed with; only one can make calls."""
    client = "services.runtime.http_client.HttpClient"
    callers = [module.name for module in modules_of(server) if client in module.imports]

    assert len(callers) == 1


@pytest.mark.parametrize("server", SERVERS)
def test_a_server_is_imported_from_the_top_down(server: str) -> None:
    """__main__ -> app -> handlers -> the rest; settings and errors at the bottom."""
    upward = [
        f"{module.name} imports {name}"
        for module in modules_of(server)
        for name in sorted(module.ours)
        if within(name, (server,)) and rank(name) < rank(module.name)
    ]

    assert upward == []


def rank(name: str) -> int:
    part = name.split(".")[1] if "." in name else ""
    if part.startswith("handlers"):
        return 2
    return {"__main__": 0, "app": 1, "errors": 4, "settings": 5}.get(part, 3)
