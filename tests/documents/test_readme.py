"""README is the first page, and for somebody who has Ollama at home: short, and what it says to type works."""

import re

from gateway.settings import GatewaySettings
from proxy.settings import ProxySettings
from services.runtime.settings import ProcessSettings, describe
from tests.architecture.source import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def names(settings: type[ProcessSettings]) -> set[str]:
    return {row.name for row in describe(settings)}


def test_it_is_shorter_than_130_lines() -> None:
    assert README.count("\n") < 130


def test_the_settings_and_targets_that_it_names_are_there() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)

    assert set(re.findall(r"`(SLUICE_\w+)`", README)) <= names(ProxySettings) | names(GatewaySettings)
    assert set(re.findall(r"^make (\w+)", README, re.MULTILINE)) <= set(targets)


def test_what_it_starts_by_hand_are_modules() -> None:
    modules = re.findall(r"^\.venv/bin/python -m ([\w.]+)", README, re.MULTILINE)

    assert modules
    assert [name for name in modules if not (ROOT / name.replace(".", "/") / "__main__.py").is_file()] == []
