"""How expressions are read: tests/monitoring/promql.py."""

import pytest

from tests.monitoring.promql import Selector, grouping_labels, selectors, unanswered

SERIES = [("up", {"job": "proxy"}), ("x_bucket", {"job": "proxy", "le": "2.0"}), ("x_bucket", {"job": "proxy"})]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up == 0", ["up"]),
        ("vector(1)", []),
        ("sum by (job) (rate(x_total[5m])) / on (instance) group_left () y > 1e3 * 0.005", ["x_total", "y"]),
        (
            "histogram_quantile(0.95, sum by (le)(rate(a_bucket[10m]))) and on() b or c offset 5m",
            ["a_bucket", "b", "c"],
        ),
        ('topk(10, count by (__name__) ({job="gateway"}))', [""]),
        ("rate(x_total[$__rate_interval])", ["x_total"]),
        ("job:llm_ttft:error_ratio_rate5m > 0.5", ["job:llm_ttft:error_ratio_rate5m"]),
    ],
)
def test_selectors_are_found_among_functions_clauses_and_numbers(expression: str, names: list[str]) -> None:
    assert [one.name for one in selectors(expression)] == names


def test_matchers_are_read_whatever_braces_and_quotes_their_values_hold() -> None:
    (found,) = selectors(r'x{a="}", b=~"c{2}|\"", d!="e"}[5m]')

    assert found == Selector("x", (("a", "=", "}"), ("b", "=~", r"c{2}|\""), ("d", "!=", "e")))


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ('up{job="proxy"} or x_bucket{le="2.0"}', []),
        ('x_bucket{le="2"}', ["x_bucket"]),
        ('up{job=~"gateway|prox."}', []),
        ('up{job!="proxy"}', ["up"]),
        ('up{job!~"gateway"}', []),
        ('up{nothing=""}', []),
        ("upp", ["upp"]),
    ],
)
def test_a_selector_is_unanswered_where_no_series_is_among_its_own(expression: str, missing: list[str]) -> None:
    assert [one.name for one in unanswered(expression, SERIES)] == missing


def test_the_labels_of_clauses_are_found() -> None:
    assert grouping_labels("sum by (job, le) (a) / on (x) group_left () b") == {"job", "le", "x"}
