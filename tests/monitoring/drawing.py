"""Rows of the dashboard as a picture, of what a Prometheus answers: for where no Grafana can be had.

Places, titles, units, limits and queries are the dashboard's own; how lines and legends look is not Grafana's.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any, Final

from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from deploy.grafana.json_model import BESIDE, COLUMNS, dashboard
from deploy.grafana.panel import Panel, Query, Row, View
from tests.monitoring.panels import Series, Window
from tests.monitoring.plots import GREY, INK, draw

Ask = Callable[[Query], Sequence[Series]]

DPI: Final = 100
WIDTH_PX: Final = 1600
UNIT_PX: Final = 38  # of a panel's height, as Grafana's are
PAPER: Final = "#ffffff"
CARD: Final = "#fdfdfe"
EDGE: Final = "#dde1e6"
COLOURS_OF_A_PICTURE: Final = 96
"""Enough for lines on white, and a third of the bytes."""
STYLE: Final[dict[str, Any]] = {
    "font.size": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.facecolor": CARD,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
# Around the drawing, in pixels: title above, names of values, legend.
ABOVE: Final = 30
LEFT: Final = 62
LEFT_OF_STATES: Final = 165
RIGHT: Final = 14
RIGHT_OF_NAMES: Final = 205
BELOW: Final = 26
BELOW_NAMES: Final = 62


def picture(rows: Sequence[Row], ask: Ask, window: Window) -> bytes:
    """Return a PNG of these rows, one below the other."""
    made = dashboard(rows)["panels"]
    height_px = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in made) * UNIT_PX
    with style.context(STYLE):
        figure = Figure(figsize=(WIDTH_PX / DPI, height_px / DPI), dpi=DPI, facecolor=PAPER)
        panels = iter([panel for row in rows for panel in row.panels])
        for one in made:
            left, top, width, height = _box(one["gridPos"])
            place = left, height_px - top - height, width, height
            if one["type"] == "row":
                figure.text(8 / WIDTH_PX, 1 - (top + 24) / height_px, one["title"], fontsize=12, fontweight="bold")
            else:
                _panel(figure, next(panels), place, ask, window)
        return _png(figure)


def _box(place: dict[str, int]) -> tuple[int, int, int, int]:
    column_px = WIDTH_PX / COLUMNS
    left, width = round(place["x"] * column_px), round(place["w"] * column_px)
    return left, place["y"] * UNIT_PX, width, place["h"] * UNIT_PX


def _panel(figure: Figure, panel: Panel, place: tuple[int, int, int, int], ask: Ask, window: Window) -> None:
    left, bottom, width, height = place
    whole_width, whole_height = WIDTH_PX, figure.get_figheight() * DPI
    before, after, below = _margins(panel)
    inner = left + before, bottom + below, width - before - after, height - ABOVE - below
    across, up = inner[0::2], inner[1::2]
    card = Rectangle((left + 3, bottom + 3), width - 6, height - 6, fc=CARD, ec=EDGE, lw=1, transform=None, zorder=-1)
    figure.add_artist(card)
    axes = figure.add_axes(
        (across[0] / whole_width, up[0] / whole_height, across[1] / whole_width, up[1] / whole_height)
    )
    title = (left + 10) / whole_width, (bottom + height - 20) / whole_height
    figure.text(*title, panel.title, fontsize=9, fontweight="bold")
    draw(axes, panel, [(query, ask(query)) for query in panel.queries], window)


def _margins(panel: Panel) -> tuple[int, int, int]:
    """Return what is left free before, behind and below the drawing, in pixels."""
    match panel.view:
        case View.NUMBER:
            return 8, 8, 6
        case View.STATES:
            return LEFT_OF_STATES, RIGHT, BELOW
        case View.HEATMAP:
            return LEFT, RIGHT, BELOW
        case View.LINES | View.STACK:
            beside = panel.width >= BESIDE
            return LEFT, RIGHT_OF_NAMES if beside else RIGHT, BELOW if beside else BELOW_NAMES


def _png(figure: Figure) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as image:
        image.convert("RGB").quantize(COLOURS_OF_A_PICTURE).save(small, format="png", optimize=True)
    return small.getvalue()
