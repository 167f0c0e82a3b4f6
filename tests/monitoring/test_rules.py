"""The rules as files: those that are made are made anew, and promtool checks and tests all of them."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.prometheus.error_budgets import burn_rate_alerts, recording_rules
from deploy.prometheus.objectives import FAILED, GAP_S, OBJECTIVES, SERVED, TTFT_S
from gateway.relay import goodput
from services.wire.events import RULES, Code, ConnectionEnd, FinishReason
from tests.machine import needs
from tests.monitoring.first_scrape import first_series
from tests.monitoring.rules import DEPLOYED, RULE_FILES, UNIT_TESTS, alerts, records, yaml_of

THEIR_DOING = {FinishReason.CANCELLED, FinishReason.ABANDONED}


def promtool(*arguments: str | Path) -> str:
    """Return what promtool says.

    Raises:
        AssertionError: it is not content.
    """
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "text"), [("recording.yml", recording_rules()), ("burn_rates.yml", burn_rate_alerts())]
)
def test_the_rules_that_follow_from_the_objectives_are_those_in_the_files(name: str, text: str) -> None:
    """`python -m deploy.prometheus` makes them anew."""
    assert (DEPLOYED / "rules" / name).read_text(encoding="utf-8") == text


def test_a_stream_fails_where_http_would_say_5xx_and_what_is_the_client_s_doing_does_not_count() -> None:
    ends: Sequence[str] = (*FinishReason, *ConnectionEnd, *Code)

    assert {end for end in ends if re.fullmatch(FAILED, end)} == {code for code in Code if RULES[code].status >= 500}
    assert {end for end in ends if re.fullmatch(SERVED, end)} == set(FinishReason) - THEIR_DOING


def test_the_limits_of_the_objectives_are_those_by_which_the_gateway_calls_an_answer_good() -> None:
    assert (TTFT_S, GAP_S) == (goodput.TTFT_S, goodput.MAX_GAP_S)


def test_no_threshold_of_a_burn_rate_is_beyond_all_streams() -> None:
    """90 % promised times 14.4 would be 1.44, which no ratio ever exceeds."""
    assert max(objective.budget for objective in OBJECTIVES) * 14.4 < 1


def test_recorded_names_are_of_their_level_metric_and_operation_and_each_is_recorded_once() -> None:
    names = [rule.record for rule in records()]

    assert [name for name in names if not re.fullmatch(r"job:llm_[a-z_]+:[a-z_]+\d+[mhd]", name)] == []
    assert len(set(names)) == len(names)


def test_bounds_of_buckets_are_written_as_prometheus_3_rewrites_them_and_2_keeps_them() -> None:
    """`le="2"` in a rule, or on the page, would be silence in one of the two."""
    bounds = {labels["le"] for _, labels in first_series() if "le" in labels}

    assert {bound for bound in bounds if bound != str(float(bound))} == {"+Inf"}


@needs("promtool")
def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    assert promtool("check", "rules", *RULE_FILES).count("SUCCESS") == len(RULE_FILES)


@needs("promtool")
@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_their_unit_tests_say(path: Path) -> None:
    promtool("test", "rules", path)


def test_every_alert_has_a_unit_test_in_which_it_fires_and_one_moment_in_which_it_does_not() -> None:
    fires, keeps_still = set(), set()
    for path in UNIT_TESTS:
        for case in yaml_of(path)["tests"]:
            for question in case["promql_expr_test"]:
                told = set(re.findall(r'alertname="(\w+)"', str(question["exp_samples"])))
                asked = set(re.findall(r'alertname=~?"([\w|]+)"', question["expr"]))
                fires |= told
                keeps_still |= {name for names in asked for name in names.split("|")} - told

    assert fires == {rule.alert for rule in alerts()}
    assert keeps_still == fires - {"LLMWatchdog"}
