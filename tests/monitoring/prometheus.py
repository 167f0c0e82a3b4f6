"""A real Prometheus with the deployed configuration and rules, scraping servers of this machine.

with running_chain() as chain, running_prometheus(tmp_path, chain) as prometheus:
    prometheus.query('up{job="proxy"}')  -> [Sample(labels={...}, value=1.0)]
"""

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chain import ROOT, Chain
from tests.eventually import eventually
from tests.ports import free_port

DEPLOYED: Final = ROOT / "deploy" / "prometheus"
START_S: Final = 20.0
PERIOD: Final = "2s"
"""Between two scrapes, and two evaluations; deployed it is 15 s. Of two scrapes on, a rule's window says something."""


@dataclass(frozen=True)
class Sample:
    """One series of a query's answer, at the moment of the question."""

    labels: Mapping[str, str]
    value: float


class Prometheus:
    """One running Prometheus, asked over its HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[Sample]:
        """Return what an expression comes to now; a scalar is one sample without labels.

        Raises:
            AssertionError: it is no expression; the message is Prometheus' own.
        """
        data = self.get("query", query=expression)
        found = data["result"]
        if data["resultType"] == "scalar":
            return [Sample({}, float(found[1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in found]

    def range(self, expression: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        """Return an expression's series from ``start`` to ``end`` (Unix seconds), as the API gives a matrix."""
        found: list[dict[str, Any]] = self.get(
            "query_range", query=expression, start=f"{start:.3f}", end=f"{end:.3f}", step=f"{step_s:g}"
        )["result"]
        return found

    def rules(self, kind: str) -> list[dict[str, Any]]:
        """Return the loaded rules of a kind, ``record`` or ``alert``, as the API tells them."""
        return [rule for group in self.get("rules", type=kind)["groups"] for rule in group["rules"]]

    def alerts(self, state: str = "firing") -> set[str]:
        """Return the names of the alerts in this state."""
        return {alert["labels"]["alertname"] for alert in self.get("alerts")["alerts"] if alert["state"] == state}

    def get(self, what: str, **parameters: str) -> Any:
        """Return the ``data`` of one question to the API."""
        url = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 ours
                return json.load(answer)["data"]
        except urllib.error.HTTPError as exc:
            with exc:
                raise AssertionError(f"{parameters}: {exc.read().decode()}") from exc

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:  # noqa: S310 ours
                return bool(answer.status == 200)
        except OSError:
            return False


def configuration(chain: Chain, *, period: str = PERIOD) -> str:
    """Return the deployed configuration for the servers of ``chain``; the rules are the deployed ones, unchanged."""
    text = (DEPLOYED / "prometheus.yml").read_text(encoding="utf-8")
    for deployed, here in (
        ("gateway:9002", chain.gateway.metrics_address),
        ("proxy:9001", chain.proxy.metrics_address),
        ("rules/*.yml", f"{DEPLOYED}/rules/*.yml"),
        ("scrape_interval: 15s", f"scrape_interval: {period}"),
        ("scrape_timeout: 10s", f"scrape_timeout: {period}"),
        ("evaluation_interval: 15s", f"evaluation_interval: {period}"),
    ):
        assert deployed in text, f"prometheus.yml says {deployed} no more"
        text = text.replace(deployed, here)
    return text


@contextlib.contextmanager
def running_prometheus(folder: Path, chain: Chain) -> Iterator[Prometheus]:
    """Run Prometheus on a free port until the block ends, its data under ``folder``; waits until both are scraped."""
    config = folder / "prometheus.yml"
    config.write_text(configuration(chain), encoding="utf-8")
    port = free_port()
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        prometheus = Prometheus(f"http://127.0.0.1:{port}")
        eventually(prometheus.is_ready, f"Prometheus is ready; see {log.name}", within_s=START_S)
        eventually(lambda: len(prometheus.query("up == 1")) == 2, "both servers are scraped", within_s=START_S)
        yield prometheus
    finally:
        process.kill()
        process.wait()
