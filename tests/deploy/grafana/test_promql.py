"""The expressions in full: an operator can paste what stands here into Prometheus."""

from deploy.grafana import promql

WHERE = 'job="gateway"'
SUM = 'sum(rate({name}{{job="gateway"}}[$__rate_interval]))'


def of(name: str) -> str:
    return SUM.format(name=name)


def test_a_rate_is_added_up_over_all_but_the_labels_that_are_kept() -> None:
    assert promql.rate("a_total", where=WHERE) == of("a_total")
    assert promql.rate("a_total", "x", "y", where=WHERE) == of("a_total").replace("sum", "sum by (x, y) ")


def test_a_mean_is_the_sum_by_the_count() -> None:
    assert promql.mean("a_seconds", where=WHERE) == f"{of('a_seconds_sum')} / {of('a_seconds_count')}"


def test_a_quantile_is_taken_of_buckets_that_were_added_up() -> None:
    added_up = of("a_seconds_bucket").replace("sum", "sum by (x, le) ")

    assert promql.quantile(0.95, "a_seconds", "x", where=WHERE) == f"histogram_quantile(0.95, {added_up})"


def test_what_passed_a_bound_names_the_bound_as_the_servers_write_it() -> None:
    """`le="1"` would silently find nothing in a Prometheus before 3."""
    within = of("a_seconds_bucket").replace("}", ',le="1.0"}')

    assert promql.beyond(1, "a_seconds", WHERE) == f"1 - {within} / {of('a_seconds_count')}"


def test_a_heatmap_counts_what_fell_into_each_bucket() -> None:
    expected = 'sum by (le) (increase(a_seconds_bucket{job="gateway"}[$__rate_interval]))'

    assert promql.buckets("a_seconds", WHERE) == expected
