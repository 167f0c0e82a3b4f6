"""The alerts against their table, their runbooks, and the metrics that there are."""

import re
from typing import Final

import pytest

import gateway.metrics
import proxy.metrics
from tests.documents.tables import table
from tests.monitoring.first_scrape import first_series
from tests.monitoring.promql import grouping_labels, unanswered
from tests.monitoring.rules import Rule, alerts, deployed_rules
from tests.monitoring.runbooks import RUNBOOKS, runbook_queries

INDEX: Final = "docs/runbooks/README.md"
LINK: Final = re.compile(r"\[(\w+)\]\((\w+\.md)\)")
SEVERITIES: Final = {"page", "ticket", "none"}


def name_of(rule: Rule) -> str:
    window = rule.labels.get("long")
    return (rule.alert or rule.record) + (f" {window}" if window else "")


def test_the_table_lists_every_alert_with_its_runbook_severity_and_patience() -> None:
    in_table = {}
    for first, severity, after, *_ in table(INDEX, "alerts"):
        (link,) = LINK.findall(first)
        in_table[link[0]] = (link[1], severity, tuple(after.split(", ")))
    in_rules: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    for rule in alerts():
        page = rule.annotations["runbook_url"].removeprefix("docs/runbooks/")
        _, _, before = in_rules.get(rule.alert, ("", "", ()))
        in_rules[rule.alert] = (page, rule.labels["severity"], (*before, rule.hold))

    assert in_table == in_rules


def test_every_runbook_is_an_alert_s_and_says_what_it_means_what_to_look_at_and_what_to_do() -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in RUNBOOKS.glob("*.md") if page.name != "README.md"}

    assert set(pages) == {rule.annotations["runbook_url"].removeprefix("docs/runbooks/") for rule in alerts()}
    for name, text in pages.items():
        assert text.startswith(f"# {name.removesuffix('.md')}\n")
        order = [text.find(part) for part in ("**It means:**", "**Look at**", "**Do**", "\n1. ")]
        assert -1 not in order, name
        assert order == sorted(order), name


@pytest.mark.parametrize("rule", alerts(), ids=name_of)
def test_an_alert_says_how_bad_it_is_what_is_so_and_what_to_do(rule: Rule) -> None:
    assert rule.labels["severity"] in SEVERITIES
    assert set(rule.annotations) == {"summary", "description", "runbook_url"}
    assert len(rule.annotations["summary"]) < 140
    assert rule.annotations["description"].endswith(".")


def test_alerts_of_one_name_are_told_apart_by_their_labels() -> None:
    """Prometheus 2.42 refuses them otherwise: a rule twice, then two samples of one moment."""
    told = [(rule.alert, *sorted(rule.labels.items())) for rule in alerts()]

    assert len(set(told)) == len(told)


@pytest.mark.parametrize("rule", deployed_rules(), ids=name_of)
def test_a_rule_asks_for_series_that_servers_show_from_their_start(rule: Rule) -> None:
    """A misspelled name, label, value or bucket bound is no error to Prometheus: it is silence."""
    assert unanswered(rule.expression, first_series()) == []
    labels = {label for _, labels in first_series() for label in labels}
    assert grouping_labels(rule.expression) <= labels


def test_the_queries_of_the_runbooks_ask_for_series_that_there_are() -> None:
    declared = {name for name, *_ in (*gateway.metrics.families(), *proxy.metrics.families())}
    wrong = [
        (page, one)
        for page, query in runbook_queries()
        for one in unanswered(query, first_series())
        if one.matchers or re.sub(r"_(?:bucket|sum|count)$", "", one.name) not in declared
    ]

    assert len(runbook_queries()) > 40
    assert wrong == []
