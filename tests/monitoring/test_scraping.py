"""deploy/prometheus/prometheus.yml: what Prometheus makes of the two servers as it is configured to scrape them."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.chain import running_chain
from tests.machine import lacking, needs
from tests.monitoring.prometheus import DEPLOYED, Prometheus, running_prometheus
from tests.monitoring.runbooks import runbook_queries


@needs("promtool")
def test_the_configuration_and_every_file_that_it_names_are_valid() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", DEPLOYED / "prometheus.yml"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if why := lacking("prometheus"):
        pytest.skip(why)
    with running_chain() as chain, running_prometheus(tmp_path_factory.mktemp("prometheus"), chain) as prometheus:
        yield prometheus


def test_both_servers_are_scraped_as_jobs_of_their_own(scraped: Prometheus) -> None:
    up = {sample.labels["job"]: sample.value for sample in scraped.query("up")}

    assert up == {"gateway": 1.0, "proxy": 1.0}


def test_prometheus_understands_every_query_of_the_runbooks(scraped: Prometheus) -> None:
    for _, query in runbook_queries():
        scraped.query(query)
