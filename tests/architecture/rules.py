"""What no module of ours does: each rule takes modules, by name, and returns its breaches, each as a sentence."""

import ast
import graphlib
import re
from collections.abc import Iterator, Mapping

from tests.architecture.arrows import ARROWS, FLOORS
from tests.architecture.source import Module, imported, within

Modules = Mapping[str, Module]

IMPURE_LIBRARIES = {
    *("asyncio", "concurrent", "multiprocessing", "selectors", "signal", "subprocess", "threading"),
    *("aiohttp", "http", "httptools", "socket", "ssl", "urllib", "uvloop"),
    *("io", "os", "pathlib", "sys", "tempfile", "importlib"),
    *("time", "sched"),
    *("random", "secrets", "uuid"),
    *("logging", "prometheus_client", "structlog"),
}
IMPURE_CALLS = frozenset({"open", "print", "input", "eval", "exec", "__import__"})
CLOCKS = frozenset(
    {"now", "today", "utcnow", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "time_ns"}
)
SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash", "/usr/bin/env"})
CHANCE = frozenset({"urandom", "getrandom", "randbytes", "randint", "randrange", "token_hex", "uuid4"})
# called, for as data they may be anything: `loop.time()`, `rng.random()`
CALLED = frozenset({"time", "random", "choice", "shuffle", "uniform"})


def homeless(modules: Modules) -> list[str]:
    """Every module has a package with a row, and a server's module has a floor."""
    found = [
        f"{name} has no row in ARROWS" for name in modules if name != "services" and not within(name, tuple(ARROWS))
    ]
    return found + [f"{name} has no floor in FLOORS" for name in modules if server_of(name) and floor(name) is None]


def strange_imports(modules: Modules) -> list[str]:
    """A package imports of ours only what its row says."""
    return [
        f"{name} imports {other}"
        for package, allowed in ARROWS.items()
        for name, other in arrows(modules)
        if within(name, (package,)) and not within(other, (package, *allowed))
    ]


def upward_imports(modules: Modules) -> list[str]:
    """Inside a server nobody imports from a floor above its own."""
    return [
        f"{name} imports {other}, which is above it"
        for name, other in arrows(modules)
        if server_of(name) and server_of(name) == server_of(other) and (floor(other) or 0) < (floor(name) or 0)
    ]


def circles(modules: Modules) -> list[str]:
    """No imports go round in a circle."""
    try:
        graphlib.TopologicalSorter({name: imported(module, modules) for name, module in modules.items()}).prepare()
    except graphlib.CycleError as error:
        return [" -> ".join(error.args[1])]
    return []


def impurities(modules: Modules) -> list[str]:
    """What says that it is pure awaits nothing, has no I/O, clock, chance or logger, and of ours only what is pure."""
    promised = {name: module for name, module in modules.items() if is_pure(name, modules)}
    found = []
    for name, module in promised.items():
        libraries = {one.partition(".")[0] for one in module.imports} & IMPURE_LIBRARIES
        found += [f"{name} imports {library}" for library in sorted(libraries)]
        found += [f"{name} imports {other}, which is not pure" for other in imported(module, modules) - {*promised}]
        found += [f"{name} uses {what}" for what in impure_nodes(module.tree)]
    return sorted(found)


def is_pure(name: str, modules: Modules) -> bool:
    """Whether the first line of a module's docstring, or of a package's above it, has the word."""
    parts = name.split(".")
    above = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return any(re.search(r"\bpure\b", modules[one].summary, re.IGNORECASE) for one in above if one in modules)


def impure_nodes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"await in line {node.lineno}"
        elif isinstance(node, ast.Attribute) and node.attr in CLOCKS | CHANCE:
            yield f".{node.attr} in line {node.lineno}"
        elif isinstance(node, ast.Call) and called(node) in IMPURE_CALLS | CALLED:
            yield f"{called(node)}() in line {node.lineno}"


def shells(modules: Modules) -> list[str]:
    """No server starts a shell: the image has none (deploy/strip.py)."""
    return [
        f"{name} names {node.value} in line {node.lineno}"
        for name, module in modules.items()
        if server_of(name)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and node.value in SHELLS
    ]


def called(node: ast.Call) -> str:
    """Return the last name of what is called, if it has one."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def arrows(modules: Modules) -> Iterator[tuple[str, str]]:
    for name, module in modules.items():
        for other in sorted(imported(module, modules)):
            yield name, other


def server_of(name: str) -> str:
    """Return the server that the module is part of, or nothing."""
    return next((server for server in FLOORS if within(name, (server,))), "")


def floor(name: str) -> int | None:
    """Return the module's floor in its server, 0 at the top; the server's own map is below all: it imports nothing."""
    server = server_of(name)
    if name == server:
        return len(FLOORS[server])
    for number, parts in enumerate(FLOORS[server]):
        if within(name, tuple(f"{server}.{part}" for part in parts)):
            return number
    return None
