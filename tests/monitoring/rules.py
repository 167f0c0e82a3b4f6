"""The deployed rules, as files."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped] # it has no annotations

from tests.chain import ROOT

DEPLOYED: Final = ROOT / "deploy" / "prometheus"
RULE_FILES: Final = sorted((DEPLOYED / "rules").glob("*.yml"))
UNIT_TESTS: Final = sorted((DEPLOYED / "tests").glob("*.yml"))


@dataclass(frozen=True)
class Rule:
    """One rule; ``record`` or ``alert`` is its name, the other is empty."""

    record: str
    alert: str
    expression: str
    hold: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def yaml_of(path: Path) -> Any:
    """Return what a YAML file says."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def deployed_rules() -> tuple[Rule, ...]:
    """Return all rules, in their files' order."""
    return tuple(
        Rule(
            rule.get("record", ""),
            rule.get("alert", ""),
            rule["expr"],
            rule.get("for", "0m"),
            rule.get("labels", {}),
            rule.get("annotations", {}),
        )
        for path in RULE_FILES
        for group in yaml_of(path)["groups"]
        for rule in group["rules"]
    )


def alerts() -> list[Rule]:
    """Return the alerts."""
    return [rule for rule in deployed_rules() if rule.alert]


def records() -> list[Rule]:
    """Return the recording rules."""
    return [rule for rule in deployed_rules() if rule.record]
