"""The deployed rules, unchanged, on a real Prometheus: every recorded series has data, and alerts fire and clear.

``for`` and windows are the deployed ones; only the pause between two scrapes and two evaluations is shorter.
"""

import math
import time
from pathlib import Path
from typing import Final

import pytest

from tests.chain import running_chain
from tests.eventually import eventually
from tests.machine import needs
from tests.monitoring.prometheus import Prometheus, running_prometheus
from tests.monitoring.rules import records
from tests.ports import free_ports

pytestmark = [pytest.mark.monitoring, pytest.mark.timeout(600)]

HOLD_S: Final = 120.0  # the longest `for` of these alerts
QUIET: Final = {"LLMWatchdog"}
SLACK_S: Final = 60.0  # a server's own ten seconds until it is not ready, and a busy machine


@needs("prometheus")
def test_after_three_minutes_of_traffic_with_faults_every_recording_rule_has_data_of_both_servers(
    observed: Prometheus,
) -> None:
    loaded = {rule["name"] for rule in observed.rules("record")}
    healthy = {rule["name"] for rule in observed.rules("record") if rule["health"] == "ok"}
    answered = {
        name: {sample.labels["job"] for sample in observed.query(name) if not math.isnan(sample.value)}
        for name in loaded
    }
    told = {name for name, jobs in answered.items() if jobs == {"gateway", "proxy"}}
    print(f"\n{len(told)} of {len(loaded)} recording rules have data of both servers")

    assert loaded == healthy == {rule.record for rule in records()}
    assert loaded - told == set()


@needs("prometheus")
def test_faults_that_last_are_told_by_the_alerts_that_are_about_them(observed: Prometheus) -> None:
    """A quarter of the traffic fails by our doing, and lines are broken."""
    expected = {"LLMWatchdog", "LLMProtocolViolations", "LLMAvailabilityBudgetBurnFast"}

    until_fired(observed, expected)

    assert {rule["name"]: rule["lastError"] for rule in observed.rules("alert") if rule.get("lastError")} == {}


@needs("prometheus")
def test_a_proxy_that_dies_is_told_by_three_alerts_and_they_clear_when_it_is_back(tmp_path: Path) -> None:
    expected = {"LLMTargetDown", "LLMUpstreamDown", "LLMNotReady"}
    port, metrics_port = free_ports(2)  # where it comes back, after minutes
    proxy = {"LISTEN": f"127.0.0.1:{port}", "METRICS_LISTEN": f"127.0.0.1:{metrics_port}"}
    with running_chain(proxy=proxy) as chain, running_prometheus(tmp_path, chain) as prometheus:
        eventually(lambda: prometheus.alerts() == QUIET, "the rules are evaluated", within_s=SLACK_S, pause_s=1.0)
        chain.proxy.kill()
        after_s = until_fired(prometheus, expected)
        chain.another_proxy()
        eventually(lambda: prometheus.alerts() == QUIET, "they clear", within_s=SLACK_S, pause_s=1.0)

    print(f"\nfired after {after_s} s, and cleared")
    assert min(after_s.values()) >= 60, "`for` is at least a minute"


def until_fired(prometheus: Prometheus, names: set[str]) -> dict[str, int]:
    """Wait until all these alerts have fired; return the seconds from now to when each did."""
    began, after_s = time.monotonic(), dict[str, int]()

    def all_fired() -> bool:
        for name in names & prometheus.alerts() - after_s.keys():
            after_s[name] = int(time.monotonic() - began)
        return after_s.keys() == names

    eventually(all_fired, f"{sorted(names)} fire", within_s=HOLD_S + SLACK_S, pause_s=1.0)
    return after_s
