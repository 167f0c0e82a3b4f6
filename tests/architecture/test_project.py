"""What the project's files say about each other."""

import importlib.metadata
import re
import sys
import tomllib
from collections.abc import Iterable
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from services.runtime import version
from services.runtime.version import VERSION
from tests.architecture.source import ROOT, SOURCE_FOLDERS, Module, source, suite, within


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads(read("pyproject.toml"))


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", read(lock), re.MULTILINE))


def test_the_version_stands_in_one_place_and_the_changelog_s_newest_release_has_it(project: dict[str, Any]) -> None:
    named = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]

    assert project["project"]["dynamic"] == ["version"]
    assert named == f"{version.__name__}.VERSION"
    assert re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", read("CHANGELOG.md"), re.MULTILINE)[0] == VERSION


COMPILE = "requirements-compile.lock"
BUILDING = {"deploy.compiling"}
"""Run by `make build` and an image's build alone, with what they have."""


def tools_of(project: dict[str, Any]) -> list[str]:
    """Return what development needs beside what runs: the group `dev`, which includes `compile`."""
    groups = project["dependency-groups"]
    return [*groups["compile"], *(tool for tool in groups["dev"] if isinstance(tool, str))]


ELSEWHERE = re.compile(r"tests\.clients\.\w+_calls")
"""Programs that run in an environment of their own, which has what they import: tests/client_environment.py."""


def undeclared(modules: Iterable[Module], requirements: Iterable[str]) -> set[str]:
    """Return the packages of others that are imported, and come with none of these requirements themselves."""
    roots = {name.partition(".")[0] for module in modules for name in module.imports}
    foreign = roots - sys.stdlib_module_names - {*SOURCE_FOLDERS, "tests"}
    declared = {Requirement(text).name for text in requirements}
    homes = importlib.metadata.packages_distributions()
    return {root for root in foreign if not declared & {home.lower().replace("_", "-") for home in homes.get(root, [])}}


def test_whatever_is_imported_is_declared_and_not_only_brought_by_something_else(project: dict[str, Any]) -> None:
    needed, extra = project["project"]["dependencies"], project["project"]["optional-dependencies"]["tools"]
    tools = tools_of(project)

    running = {name: module for name, module in source().items() if name not in BUILDING}
    with_tools = [module for name, module in running.items() if within(name, ("proxy.tools",))]

    assert undeclared((module for module in running.values() if module not in with_tools), needed) == set()
    assert undeclared(with_tools, [*needed, *extra]) == set()
    here = (module for name, module in suite().items() if not ELSEWHERE.fullmatch(name))
    assert undeclared(here, [*needed, *tools, *extra]) == set()
    assert undeclared([source()[name] for name in BUILDING], [*needed, *tools]) == set()
    assert "pytest" in undeclared(suite().values(), needed)


def test_the_locks_pin_every_dependency_to_a_version_that_pyproject_allows(project: dict[str, Any]) -> None:
    needed = [Requirement(text) for text in project["project"]["dependencies"]]
    tools = [Requirement(text) for text in tools_of(project)]
    compiling = [Requirement(text) for text in project["dependency-groups"]["compile"]]

    locks = {"requirements.lock": needed, "requirements-dev.lock": needed + tools, COMPILE: needed + compiling}
    for lock, requirements in locks.items():
        refused = [str(one) for one in requirements if not one.specifier.contains(pins(lock)[one.name])]
        assert refused == [], lock


def test_the_locks_agree() -> None:
    assert pins("requirements.lock").items() <= pins(COMPILE).items() <= pins("requirements-dev.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", COMPILE])
def test_every_pin_has_a_hash(lock: str) -> None:
    """T22: what was swapped at the registry is not installed."""
    entries = re.split(r"^(?=[a-z0-9._-]+==)", read(lock), flags=re.MULTILINE)[1:]

    assert [entry.partition(" ")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_aiohttp_is_not_older_than_the_version_its_rules_were_measured_on(project: dict[str, Any]) -> None:
    (aiohttp,) = [one for one in map(Requirement, project["project"]["dependencies"]) if one.name == "aiohttp"]
    floors = [Version(one.version) for one in aiohttp.specifier if one.operator == ">="]

    assert max(floors) >= Version("3.14.5")


def test_the_architecture_names_every_distribution_that_runs_and_every_tool(project: dict[str, Any]) -> None:
    text = read("ARCHITECTURE.md").lower()
    names = [*pins("requirements.lock"), *(Requirement(tool).name for tool in tools_of(project))]

    assert [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)] == []
