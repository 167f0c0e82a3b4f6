"""A panel's red line is what people are promised, or what an alert waits for, and its runbook is there."""

import re

import pytest

from deploy.grafana import limits
from deploy.grafana.panel import Limit
from deploy.grafana.rows import ROWS
from gateway.conversations import pending
from gateway.relay import goodput
from tests.architecture.source import ROOT
from tests.monitoring.rules import alerts

LIMITS = {name: limit for name, limit in vars(limits).items() if isinstance(limit, Limit)}
WITH_RUNBOOK = {name: limit for name, limit in LIMITS.items() if limit.runbook}


def expressions(runbook: str) -> list[str]:
    """Return what the alerts that have this page wait for."""
    return [rule.expression for rule in alerts() if rule.annotations["runbook_url"].endswith(f"{runbook}.md")]


def test_a_good_answer_is_the_gateway_s() -> None:
    assert (limits.FIRST_TOKEN.value, limits.TIME_PER_TOKEN_S) == (goodput.TTFT_S, goodput.TIME_PER_TOKEN_S)


def test_what_may_wait_for_the_database_is_what_the_gateway_lets_wait() -> None:
    assert limits.STORE_FULL.value == pending.MOST_BYTES


@pytest.mark.parametrize("name", WITH_RUNBOOK)
def test_whoever_sees_red_finds_a_runbook(name: str) -> None:
    assert (ROOT / "docs" / "runbooks" / f"{LIMITS[name].runbook}.md").is_file()


ALERTED = (
    *("ADDED", "BURN", "COLD_LOADS", "PERMITS", "BREAKERS", "GOING_ON", "STOPPING", "LOOP_LAG", "OPEN_FILES"),
    *("BLOCKED", "SAMPLES", "STORE_AWAY"),
)


@pytest.mark.parametrize("name", ALERTED)
def test_an_alert_waits_for_the_same_number(name: str) -> None:
    limit = LIMITS[name]

    assert [one for one in expressions(limit.runbook) if re.search(rf"(?<![\d.]){limit.value:g}(?![\d.])", one)]


@pytest.mark.parametrize("name", ["FAILED", "STANDING_STILL"])
def test_a_budget_s_alert_multiplies_it(name: str) -> None:
    limit = LIMITS[name]

    assert all(f"* {limit.value:g}" in one for one in expressions(limit.runbook))


def test_no_limit_is_one_that_no_panel_has() -> None:
    used = [panel.limit for row in ROWS for panel in row.panels]

    assert [name for name, limit in LIMITS.items() if limit not in used] == []
