import itertools
import json
from typing import Any

import pytest

from deploy.grafana.__main__ import FILE
from deploy.grafana.json_model import COLUMNS, dashboard, text
from deploy.grafana.panel import Limit, Panel, Query, Row, Unit, View
from deploy.grafana.rows import ROWS

FIRST_SCREEN = 22
"""Units of 38 pixels that a screen of 1080 shows below the browser's and Grafana's own bars: 836 of them."""
MADE = dashboard(ROWS)
HEADS = [one for one in MADE["panels"] if one["type"] == "row"]
PANELS = [one for one in MADE["panels"] if one["type"] != "row"]


def alone(**fields: Any) -> dict[str, Any]:
    """Return the JSON of a panel."""
    panel = Panel(**{"title": "t", "sentence": "s.", "unit": Unit.SECONDS, "queries": (Query("up"),), **fields})
    made: dict[str, Any] = dashboard([Row("r", (panel,))])["panels"][1]
    return made


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    x, y, width, height = (panel["gridPos"][side] for side in "xywh")
    return set(itertools.product(range(x, x + width), range(y, y + height)))


def test_the_dashboard_in_the_repository_is_the_one_that_the_code_makes() -> None:
    """After a change: `python -m deploy.grafana`."""
    assert FILE.read_text(encoding="utf-8") == text()


def test_no_two_panels_have_a_number_or_a_place_in_common_and_no_line_has_a_hole() -> None:
    numbers = [one["id"] for one in MADE["panels"]]
    taken = [cell for one in MADE["panels"] for cell in cells(one)]
    height = max(y for _, y in taken) + 1

    assert len(numbers) == len({*numbers})
    assert sorted(taken) == sorted(itertools.product(range(COLUMNS), range(height)))


def test_the_first_screen_has_the_first_two_rows_whole() -> None:
    """Are people being served, how fast is the first word, how fast the others, where does the time go?"""
    assert HEADS[2]["gridPos"]["y"] <= FIRST_SCREEN


def test_links_last_crosshairs_are_shared_and_nothing_is_changed_in_grafana() -> None:
    assert (MADE["uid"], MADE["graphTooltip"], MADE["editable"]) == ("sluice", 1, False)
    assert MADE["tags"] == ["sluice", "llm"]


def test_every_expression_asks_the_data_source_that_is_chosen() -> None:
    asked = [*PANELS, *MADE["annotations"]["list"], *(query for one in PANELS for query in one["targets"])]

    assert {one["datasource"]["uid"] for one in asked} == {"${datasource}"}


def test_the_variables_in_expressions_are_those_that_can_be_chosen() -> None:
    offered = {one["name"] for one in MADE["templating"]["list"]}
    used = {word for word in ("model", "job", "instance") if f'=~"${word}"' in json.dumps(MADE).replace('\\"', '"')}

    assert offered == {"datasource"} | used


def test_a_new_version_is_marked_in_every_panel() -> None:
    (versions,) = MADE["annotations"]["list"]

    assert versions["expr"].count("llm_build_info") == 2
    assert versions["enable"] is True


@pytest.mark.parametrize(
    ("limit", "colours"),
    [
        (None, [("text", None)]),
        (Limit(2, "LLMSlowCancel"), [("green", None), ("red", 2)]),
        (Limit(0.9, low=True), [("red", None), ("green", 0.9)]),
    ],
)
def test_a_panel_turns_red_at_its_limit(limit: Limit | None, colours: list[tuple[str, float | None]]) -> None:
    panel = alone(limit=limit)
    defaults = panel["fieldConfig"]["defaults"]

    assert [(step["color"], step["value"]) for step in defaults["thresholds"]["steps"]] == colours
    assert defaults["custom"]["thresholdsStyle"]["mode"] == ("line" if limit else "off")
    assert ("docs/runbooks/LLMSlowCancel.md" in panel["description"]) == bool(limit and limit.runbook)


def test_a_state_without_a_limit_is_neither_good_nor_bad() -> None:
    steps = alone(view=View.STATES)["fieldConfig"]["defaults"]["thresholds"]["steps"]

    assert not {"red", "green"} & {step["color"] for step in steps}


def test_a_query_apart_is_a_line_across_the_stack() -> None:
    panel = alone(view=View.STACK, queries=(Query("up", "{{job}}"), Query("1", "whole", apart=True)))
    (override,) = panel["fieldConfig"]["overrides"]

    assert panel["type"] == "timeseries"
    assert panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    assert override["matcher"] == {"id": "byFrameRefID", "options": panel["targets"][1]["refId"]}
    assert {"id": "custom.stacking", "value": {"mode": "none", "group": "A"}} in override["properties"]


def test_the_series_of_a_query_can_be_shades_of_one_colour() -> None:
    (override,) = alone(queries=(Query("up", "{{job}}", shades="red"),))["fieldConfig"]["overrides"]

    assert override["properties"] == [{"id": "color", "value": {"mode": "shades", "fixedColor": "red"}}]


def test_a_heatmap_s_query_is_one() -> None:
    panel = alone(view=View.HEATMAP)

    assert [query["format"] for query in panel["targets"]] == ["heatmap"]
    assert panel["options"]["yAxis"]["unit"] == "s"
