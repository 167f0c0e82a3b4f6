"""What operators see after three minutes of all that can happen: the chain under traffic, scraped by a Prometheus."""

import time
from collections.abc import Iterator
from typing import Final

import pytest

from tests.chain import running_chain
from tests.eventually import eventually
from tests.machine import lacking
from tests.monitoring.prometheus import Prometheus, running_prometheus
from tests.monitoring.talks import settings as talking
from tests.monitoring.talks import talks
from tests.monitoring.traffic import SCRIPT, traffic

OBSERVED_S: Final = 180.0
PERMITS: Final = "2"
"""Of each model, for six readers: some must wait in line."""


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that has scraped both servers for three minutes of traffic with faults, which goes on."""
    if why := lacking("prometheus"):
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("prometheus")
    proxy, gateway = talking(folder, f"sqlite:///{folder / 'conversations.db'}")
    with (
        running_chain(
            simulator={"SCRIPT": SCRIPT, "NUM_PARALLEL": PERMITS}, proxy={"PERMITS": PERMITS, **proxy}, gateway=gateway
        ) as chain,
        running_prometheus(folder, chain) as prometheus,
        traffic(chain),
        talks(chain),
    ):
        until = time.monotonic() + OBSERVED_S
        eventually(lambda: time.monotonic() > until, "it was long enough", within_s=OBSERVED_S + 60, pause_s=1.0)
        yield prometheus
