"""deploy/prometheus/prometheus.yml: what Prometheus makes of the two servers as it is configured to scrape them."""

import subprocess
from pathlib import Path

from tests.chain import running_chain
from tests.machine import needs
from tests.monitoring.prometheus import DEPLOYED, running_prometheus


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


@needs("prometheus")
def test_both_servers_are_scraped_as_jobs_of_their_own(tmp_path: Path) -> None:
    with running_chain() as chain, running_prometheus(tmp_path, chain) as prometheus:
        up = {sample.labels["job"]: sample.value for sample in prometheus.query("up")}

    assert up == {"gateway": 1.0, "proxy": 1.0}
