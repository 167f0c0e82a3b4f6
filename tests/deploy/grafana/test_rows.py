"""What holds of every panel.

Of deploy/grafana/rows/glance.py, deploy/grafana/rows/time_spent.py, deploy/grafana/rows/tokens.py,
deploy/grafana/rows/outcomes.py, deploy/grafana/rows/model_side.py, deploy/grafana/rows/processes.py,
deploy/grafana/rows/keys.py, deploy/grafana/rows/servers.py, deploy/grafana/rows/tools.py and
deploy/grafana/rows/conversations.py.
"""

import re
from itertools import chain

import pytest

from deploy.grafana.json_model import VERSIONS
from deploy.grafana.panel import Panel, View
from deploy.grafana.rows import ROWS
from gateway.metrics import families as gateway_families
from proxy.metrics import families
from tests.monitoring.first_scrape import first_series
from tests.monitoring.panels import asked
from tests.monitoring.promql import unanswered

PANELS = [panel for row in ROWS for panel in row.panels]
LATER = {
    "http_server_request_duration_seconds_count": "with the first request",
    "ollama_model_loaded": "with the first look at the model server's memory",
    "ollama_model_vram_bytes": "likewise",
    "llm_upstream_connections": "when the server has a pool to count",
}
"""Series that begin behind the others."""


def test_what_a_panel_asks_for_is_there_from_the_start_or_declared_and_comes_later() -> None:
    """A renamed metric, or label, must not leave a panel that is empty for ever."""
    declared = {f"{name}{'_count' * (kind == 'histogram')}" for name, kind, _ in (*gateway_families(), *families())}
    expressions = [VERSIONS, *(query.expr for panel in PANELS for query in panel.queries)]
    missing = [one for text in expressions for one in unanswered(asked(text), first_series())]

    assert [one for one in missing if one.name not in LATER] == []
    assert declared >= LATER.keys()


def test_no_two_panels_have_one_title() -> None:
    titles = [panel.title for panel in PANELS] + [row.title for row in ROWS]

    assert len(titles) == len({*titles})


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_panel_says_what_is_seen_in_sentences(panel: Panel) -> None:
    assert re.fullmatch(r"[A-Z].*[a-z0-9`]\.", panel.sentence)
    assert panel.sentence != panel.title


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_series_has_a_name_wherever_a_panel_has_more_than_one(panel: Panel) -> None:
    legends = [(query.legend, query.shades) for query in panel.queries]

    assert len(legends) == len({*legends})
    assert all(query.legend for query in panel.queries) or panel.view is View.NUMBER


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel.title)
def test_a_name_is_made_of_labels_that_the_expression_keeps(panel: Panel) -> None:
    for query in panel.queries:
        named = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
        kept = set(chain.from_iterable(re.findall(r"\w+", by) for by in re.findall(r"by \(([^)]*)\)", query.expr)))
        assert named <= (kept or {"job", "instance"}), query.legend
