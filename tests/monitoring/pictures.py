"""The pictures of docs/dashboards.md: ``python -m tests.monitoring.pictures``, which takes some four minutes.

The chain serves readers, is met by faults for a while, and serves on; Prometheus watches; each row is drawn.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.grafana.panel import Row
from deploy.grafana.rows import ROWS
from tests.chain import ROOT, Chain, running_chain
from tests.eventually import eventually
from tests.monitoring.drawing import picture
from tests.monitoring.panels import Window, series
from tests.monitoring.prometheus import Prometheus, running_prometheus
from tests.monitoring.traffic import SCRIPT, SERVED, traffic

FOLDER: Final = ROOT / "docs" / "pictures"
PICTURES: Final = {
    "dashboard-first-screen.png": ROWS[:2],
    "dashboard-tokens.png": ROWS[2:3],
    "dashboard-outcomes.png": ROWS[3:4],
    "dashboard-model-side.png": ROWS[4:5],
    "dashboard-processes.png": ROWS[5:6],
}
PERMITS: Final = "3"
"""Of each model: six readers are served at once, the twelve of the bad minute are not."""
SERVED_S: Final = 40.0
FAULTS_S: Final = 45.0
AGAIN_S: Final = 80.0
"""Long enough for the rules of long windows, which are worked out every two minutes, to see the faults."""


@contextmanager
def watched() -> Iterator[tuple[Chain, Prometheus]]:
    """Run the chain, and a Prometheus that watches it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running_chain(
            simulator={"SCRIPT": SCRIPT, "NUM_PARALLEL": PERMITS},
            proxy={"PERMITS": PERMITS, "QUEUE_LENGTH": "1", "QUEUE_TIMEOUT_S": "20", "IDLE_TIMEOUT_S": "5"},
        ) as chain,
        running_prometheus(Path(folder), chain) as prometheus,
    ):
        yield chain, prometheus


def wait(seconds: float) -> None:
    """Let time go by: it is what is drawn."""
    until = time.monotonic() + seconds
    eventually(lambda: time.monotonic() > until, within_s=seconds + 60)


def draw(pictures: Mapping[str, Sequence[Row]], prometheus: Prometheus, window: Window) -> None:
    """Draw these rows of the dashboard, each picture into its file."""
    FOLDER.mkdir(exist_ok=True)
    for name, rows in pictures.items():
        drawn = picture(rows, lambda query: series(prometheus, query, window), window)
        (FOLDER / name).write_bytes(drawn)
        print(f"{name}: {len(drawn) >> 10} KiB")


def main() -> None:
    """Draw all."""
    with watched() as (chain, prometheus):
        start = time.time()
        with traffic(chain, SERVED):
            wait(SERVED_S)
            with traffic(chain):
                wait(FAULTS_S)
            wait(AGAIN_S)
            draw(PICTURES, prometheus, Window(start, time.time()))


if __name__ == "__main__":
    main()
