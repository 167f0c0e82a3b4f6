"""deploy/grafana: what Grafana asks for a panel, a real Prometheus that watched the real servers can answer."""

import re
import time

import pytest

from deploy.grafana.json_model import VERSIONS, dashboard
from deploy.grafana.panel import Query
from deploy.grafana.rows import ROWS
from tests.monitoring.panels import Window, asked, series
from tests.monitoring.prometheus import Prometheus

pytestmark = [pytest.mark.monitoring, pytest.mark.timeout(400)]

LOOKED_AT_S = 180.0
QUERIES = [(panel.title, query) for row in ROWS for panel in row.panels for query in panel.queries]


@pytest.fixture(scope="module")
def window() -> Window:
    now = time.time()
    return Window(now - LOOKED_AT_S, now)


OF_SEVERAL = ("llm_fallbacks_total", "llm_provider_key_ok")
"""Only several model servers have these, and one is observed: behaviour/test_several_servers has them."""


def test_every_query_of_every_panel_returns_numbers(observed: Prometheus, window: Window) -> None:
    of_one = [(title, query) for title, query in QUERIES if not any(name in query.expr for name in OF_SEVERAL)]
    empty = [f"{title}: {query.expr}" for title, query in of_one if not series(observed, query, window)]
    print(f"{len(of_one) - len(empty)} of {len(of_one)} panel queries return numbers")

    assert empty == []


def test_a_version_is_marked_where_it_began(observed: Prometheus, window: Window) -> None:
    began = series(observed, Query(VERSIONS, "{{job}}"), Window(window.start - 60, window.end))

    assert {one.name for one in began} == {"gateway", "proxy"}


def test_something_can_be_chosen_of_every_variable(observed: Prometheus) -> None:
    """`label_values(metric, label)` is Grafana's own word: it asks for the values of a label of a metric."""
    asking = [one["query"]["query"] for one in dashboard(ROWS)["templating"]["list"] if one["type"] == "query"]
    choices = [re.fullmatch(r"label_values\((.*), (\w+)\)", query) for query in asking]
    found = [observed.query(asked(f"group by ({one[2]}) ({one[1]})")) for one in choices if one]

    assert len(found) == len(asking)
    assert all(found)
