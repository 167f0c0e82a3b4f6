"""The pictures of rows I and J: ``python -m tests.monitoring.pictures_of_talks``, which takes some four minutes.

Two people have conversations in which models call tools, one of which dies now and then with its server. The database
of the conversations is stopped for a while, started again, takes no writes for a while, and takes them again.
"""

import tempfile
import time
from pathlib import Path
from typing import Final

from deploy.grafana.rows import ROWS
from tests.chain import running_chain
from tests.monitoring.panels import Window
from tests.monitoring.pictures import draw, wait
from tests.monitoring.prometheus import running_prometheus
from tests.monitoring.talks import settings, talks
from tests.monitoring.traffic import SCRIPT
from tests.postgres import running_postgres

PICTURES: Final = {"dashboard-tools.png": ROWS[8:9], "dashboard-conversations.png": ROWS[9:10]}
EACH_S: Final = 40.0


def main() -> None:
    """Draw both."""
    with tempfile.TemporaryDirectory() as name, running_postgres() as database:
        folder = Path(name)
        proxy, gateway = settings(folder, database.url)
        with (
            running_chain(simulator={"SCRIPT": SCRIPT}, proxy=proxy, gateway=gateway) as chain,
            running_prometheus(folder, chain) as prometheus,
            talks(chain),
        ):
            start = time.time()
            wait(EACH_S)
            database.stop()
            wait(EACH_S)
            database.start()
            wait(EACH_S)
            with database.refusing_writes():
                wait(EACH_S)
            wait(EACH_S)
            draw(PICTURES, prometheus, Window(start, time.time()))


if __name__ == "__main__":
    main()
