"""The dashboard as the JSON that Grafana 11 and later load. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from string import ascii_uppercase
from typing import Any, Final, assert_never

from deploy.grafana.panel import Limit, Panel, Query, Row, View
from deploy.grafana.promql import PROCESSES
from deploy.grafana.rows import ROWS

UID: Final = "sluice"  # fixed, so that links to it last
COLUMNS: Final = 24
BESIDE: Final = 9
"""A panel so wide has many series: their names stand beside the drawing, not below it."""
SCHEMA: Final = 39
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
LOADED_FROM: Final = {"text": "Prometheus", "value": "prometheus"}  # as provisioning/datasources names it
ALL: Final = {"text": "All", "value": "$__all"}
VERSIONS: Final = (
    f"count by (job, version, revision) (llm_build_info{{{PROCESSES}}})"
    f" unless count by (job, version, revision) (llm_build_info{{{PROCESSES}}} offset 1m)"
)
"""True in a version's first minute."""

Json = dict[str, Any]


def text() -> str:
    """Return the dashboard as its file has it."""
    return json.dumps(dashboard(ROWS), indent=1, ensure_ascii=False) + "\n"


def dashboard(rows: Sequence[Row]) -> Json:
    """Return Grafana's JSON model of these rows, one below the other."""
    return {
        "uid": UID,
        "title": "Sluice",
        "description": "Are people being served, how fast is the first word, how fast the others, where does the time "
        "go? How to read it: docs/dashboards.md.",
        "tags": ["sluice", "llm"],
        "schemaVersion": SCHEMA,
        "editable": False,
        "graphTooltip": 1,  # one crosshair through all panels: what happened at the same moment?
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_datasource(), *_variables()]},
        "annotations": {"list": [_versions()]},
        "links": [],
        "panels": list(_placed(rows)),
    }


# --- places


def _placed(rows: Sequence[Row]) -> Iterator[Json]:
    """Return each row's head and its panels, with their places: from left to right, then the next line."""
    numbers, y = count(1), 0
    for row in rows:
        yield {
            "id": next(numbers),
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        y += 1
        for number, line in enumerate(_lines(row.panels)):
            x, height = 0, row.heights[min(number, len(row.heights) - 1)]
            for panel in line:
                place = {"x": x, "y": y, "w": panel.width, "h": height}
                yield {"id": next(numbers), "gridPos": place, **_panel(panel)}
                x += panel.width
            y += height


def _lines(panels: Sequence[Panel]) -> Iterator[list[Panel]]:
    line: list[Panel] = []
    for panel in panels:
        if sum(one.width for one in line) + panel.width > COLUMNS:
            yield line
            line = []
        line.append(panel)
    yield line


# --- panels


def _panel(panel: Panel) -> Json:
    defaults = {
        "unit": panel.unit,
        "noValue": "-",
        "thresholds": {"mode": "absolute", "steps": _steps(panel)},
        **_fields(panel),
    }
    return {
        "type": "timeseries" if panel.view is View.STACK else panel.view,
        "title": panel.title,
        "description": _description(panel),
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": list(_overrides(panel))},
        "options": _options(panel),
        "targets": [_target(query, letter, panel.view) for letter, query in _lettered(panel)],
    }


def _description(panel: Panel) -> str:
    """Return the panel's sentence, and where to read on when it is red."""
    if panel.limit is None or not panel.limit.runbook:
        return panel.sentence
    return f"{panel.sentence}\n\nRed: docs/runbooks/{panel.limit.runbook}.md"


def _lettered(panel: Panel) -> Iterator[tuple[str, Query]]:
    """Return a panel's queries with the letters by which Grafana knows them."""
    return zip(ascii_uppercase, panel.queries, strict=False)


def _target(query: Query, letter: str, view: View) -> Json:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": query.expr,
        "legendFormat": query.legend or "__auto",
        "format": "heatmap" if view is View.HEATMAP else "time_series",
        "range": True,
    }


def _steps(panel: Panel) -> list[Json]:
    """Return the colours and from which value on they are taken; without a limit there is neither good nor bad."""
    match panel.limit:
        case None if panel.view is View.STATES:
            return _colours("#8e8e8e", "blue", 1)
        case None:
            return [{"color": "text", "value": None}]
        case Limit(value, low=True):
            return _colours("red", "green", value)
        case Limit(value):
            return _colours("green", "red", value)
        case _:
            assert_never(panel.limit)


def _colours(below: str, above: str, value: float) -> list[Json]:
    return [{"color": below, "value": None}, {"color": above, "value": value}]


def _fields(panel: Panel) -> Json:
    """Return what is set for every series of a panel."""
    match panel.view:
        case View.NUMBER:
            return {"color": {"mode": "thresholds"}}
        case View.HEATMAP:
            return {"custom": {"scaleDistribution": {"type": "linear"}}}
        case View.STATES:
            return {"color": {"mode": "thresholds"}, "custom": {"fillOpacity": 80, "lineWidth": 0}}
        case View.LINES | View.STACK:
            stacked = panel.view is View.STACK
            return {
                "color": {"mode": "palette-classic"},
                "custom": {
                    "axisSoftMin": 0,
                    "fillOpacity": 60 if stacked else 8,
                    "lineWidth": 0 if stacked else 2,
                    "showPoints": "never",
                    "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
                    "thresholdsStyle": {"mode": "line" if panel.limit else "off"},
                },
            }
        case _:
            assert_never(panel.view)


def _options(panel: Panel) -> Json:
    match panel.view:
        case View.NUMBER:
            return {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "value",
                "graphMode": "area",
                "orientation": "vertical",
                "textMode": "auto",
            }
        case View.HEATMAP:
            return {
                "calculate": False,
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
                "filterValues": {"le": 1e-9},  # a bucket into which nothing fell is no colour
                "legend": {"show": True},
                "tooltip": {"mode": "single", "yHistogram": True},
                "yAxis": {"axisPlacement": "left", "unit": panel.unit},
            }
        case View.STATES:
            return {"mergeValues": True, "rowHeight": 0.8, "showValue": "never", "legend": {"showLegend": False}}
        case View.LINES | View.STACK:
            beside = panel.width >= BESIDE
            return {
                "legend": {"displayMode": "list", "placement": "right" if beside else "bottom", "showLegend": True},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        case _:
            assert_never(panel.view)


def _overrides(panel: Panel) -> Iterator[Json]:
    """Return how the series of single queries look other than the panel's."""
    for letter, query in _lettered(panel):
        look: Json = {}
        if query.shades:
            look["color"] = {"mode": "shades", "fixedColor": query.shades}
        if query.apart:
            look["color"] = {"mode": "fixed", "fixedColor": "text"}
            look["custom.stacking"] = {"mode": "none", "group": "A"}
            look["custom.fillOpacity"], look["custom.lineWidth"] = 0, 2
        if look:
            properties = [{"id": name, "value": value} for name, value in look.items()]
            yield {"matcher": {"id": "byFrameRefID", "options": letter}, "properties": properties}


# --- what stands above the panels


def _datasource() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Source",
        "query": "prometheus",
        "current": LOADED_FROM,
    }


def _variables() -> Iterator[Json]:
    """Return what can be chosen: models of the answers' rows, servers and their processes of the rows about them."""
    asked: Mapping[str, str] = {
        "model": "label_values(llm_streams_active, gen_ai_request_model)",
        "job": "label_values(llm_build_info, job)",
        "instance": 'label_values(llm_build_info{job=~"$job"}, instance)',
    }
    for name, query in asked.items():
        yield {
            "type": "query",
            "name": name,
            "label": name.capitalize(),
            "datasource": DATASOURCE,
            "definition": query,
            "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "refresh": 2,  # whenever another time is looked at: models and processes come and go
            "sort": 1,
            "includeAll": True,
            "multi": True,
            "current": ALL,
            **({"allValue": ".*"} if name == "model" else {}),  # the others: ours, and not Prometheus' own processes
        }


def _versions() -> Json:
    return {
        "name": "Versions",
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": "blue",
        "expr": VERSIONS,
        "titleFormat": "{{job}} {{version}}",
        "textFormat": "revision {{revision}}",
    }
