"""The upper limits of size, the banned names, and calls that are not made."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.limits import MAX_FILE_LINES, MAX_FUNCTION_LINES
from tests.architecture.source import ROOT, SOURCE_FOLDERS, Module, source, suite, within

EMPTY_NAMES = {"common", "util", "utils", "helper", "helpers", "misc", "core", "base", "manager", "managers"}

EVERYTHING = {**source(), **suite()}


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))


def words(name: str) -> set[str]:
    """The words of a file's, folder's or class's name, in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}


def test_no_function_is_longer_than_fifty_lines() -> None:
    long = [
        f"{module.name}.{node.name}: {(node.end_lineno or 0) - node.lineno + 1}"
        for module in EVERYTHING.values()
        for node in functions(module)
        if (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]

    assert long == []


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    long = {name: lines for name, module in EVERYTHING.items() if (lines := module.text.count("\n")) > MAX_FILE_LINES}

    assert long == {}


def test_no_file_folder_or_class_has_a_name_that_says_nothing() -> None:
    names = [part for name in EVERYTHING for part in name.split(".")]
    names += [
        node.name for module in EVERYTHING.values() for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)
    ]

    assert [name for name in names if words(name) & EMPTY_NAMES] == []


@pytest.mark.parametrize(("name", "says_nothing"), [("StreamManager", True), ("http_utils", True), ("database", False)])
def test_a_name_is_judged_by_its_words(name: str, says_nothing: bool) -> None:
    assert bool(words(name) & EMPTY_NAMES) is says_nothing


def test_lines_are_never_split_at_what_unicode_calls_a_line_end() -> None:
    """A token may hold U+2028 or a form feed; str.splitlines() would cut a frame there."""
    found = [
        f"{module.path.relative_to(ROOT)}:{call.lineno}"
        for module in EVERYTHING.values()
        for call in calls(module)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "splitlines"
    ]

    assert found == []


def test_tasks_are_made_by_tasks_spawn_only() -> None:
    """Nobody holds a bare task and nobody hears of its failure. Task groups do both; tests may use them."""
    found = [
        f"{module.path.relative_to(ROOT)}:{call.lineno}"
        for name, module in EVERYTHING.items()
        if name != "services.runtime.tasks"
        for call in calls(module)
        if makes_bare_task(call, in_test=name in suite())
    ]

    assert found == []


def makes_bare_task(call: ast.Call, *, in_test: bool) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in {"create_task", "ensure_future"}:
        return False
    owner = call.func.value
    return not in_test or (isinstance(owner, ast.Name) and owner.id == "asyncio")


def test_every_module_is_imported_or_named_by_a_test() -> None:
    """A test of behaviour names the files whose behaviour it shows: `proxy/routes/streams.py`."""
    suites = [module for name, module in suite().items() if not within(name, ("tests.architecture",))]
    imported = frozenset().union(*(module.imports for module in suites))
    texts = "\n".join(module.text for module in suites)
    untested = [
        name
        for name, module in source().items()
        if name not in imported and str(module.path.relative_to(ROOT)) not in texts and not is_entry_point(name)
    ]

    assert untested == []


def is_entry_point(name: str) -> bool:
    """Entry points are run as processes; a package's file holds its map."""
    return name.endswith(".__main__") or source()[name].path.name == "__init__.py"


def test_every_folder_of_source_is_looked_at() -> None:
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert folders - {"tests"} == set(SOURCE_FOLDERS)
