"""How the views of panels are drawn with matplotlib: numbers, lines, stacks, heatmaps, states."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, pairwise
from math import log2
from typing import Any, Final

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.ticker import FixedLocator, FuncFormatter, Locator, MaxNLocator, MultipleLocator

from deploy.grafana.json_model import BESIDE
from deploy.grafana.panel import Limit, Panel, Query, Unit, View
from tests.monitoring.panels import Series, Window
from tests.monitoring.units import shown

Drawn = Sequence[tuple[Query, Sequence[Series]]]

COLOURS: Final = [mpl.colormaps["tab20"](index) for index in (*range(0, 20, 2), *range(1, 20, 2))]
RED: Final = "#d32f2f"
GREEN: Final = "#2e7d32"
BLUE: Final = "#1f60c4"
GREY: Final = "#9e9e9e"
INK: Final = "#24292e"
# of a legend
NAME_PX: Final = 12.7  # from one line to the next
NAMES_BELOW: Final = 3  # lines
SPARE_PX: Final = 20.0
LEGEND: Final[dict[str, Any]] = {
    "loc": "upper left",
    "fontsize": 7,
    "frameon": False,
    "borderaxespad": 0.2,
    "labelspacing": 0.25,
    "handlelength": 1.2,
    "handletextpad": 0.5,
    "columnspacing": 1.0,
}


def draw(axes: Axes, panel: Panel, drawn: Drawn, window: Window) -> None:
    """Draw one panel's answers into its place."""
    if not any(answer for _, answer in drawn):
        axes.axis("off")
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", va="center", fontsize=12, color=GREY)
        return
    match panel.view:
        case View.NUMBER:
            _numbers(axes, panel, drawn)
        case View.LINES | View.STACK:
            _legend(axes, panel, _lines(axes, panel, drawn))
        case View.HEATMAP:
            _heatmap(axes, panel, [one for _, answer in drawn for one in answer])
        case View.STATES:
            _states(axes, panel, [one for _, answer in drawn for one in answer], window)
    if panel.view is not View.NUMBER:
        axes.set_xlim(window.start, window.end)
        axes.xaxis.set_major_locator(FixedLocator([window.start + at for at in range(0, 3600, 30)]))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at - window.start:.0f} s"))


def colour(value: float, limit: Limit | None, *, without: str = INK) -> str:
    """Return green or red, by the limit."""
    if limit is None:
        return without
    return RED if (value < limit.value) is limit.low and value != limit.value else GREEN


def _numbers(axes: Axes, panel: Panel, drawn: Drawn) -> None:
    """Draw the last values side by side, each above what it was."""
    axes.axis("off")
    every = [(one.name, one.points) for _, answer in drawn for one in answer]
    for place, (name, points) in enumerate(every):
        middle = (place + 0.5) / len(every)
        value = points[-1][1]
        axes.text(
            *(middle, 0.62, shown(value, panel.unit)),
            transform=axes.transAxes,
            ha="center",
            va="center",
            fontsize=19,
            fontweight="bold",
            color=colour(value, panel.limit),
        )
        axes.text(middle, 0.93, name, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=GREY)
        below = axes.inset_axes((place / len(every) + 0.02, 0.0, 1 / len(every) - 0.04, 0.3))
        below.axis("off")
        below.fill_between([at for at, _ in points], [value for _, value in points], alpha=0.25, color=BLUE, lw=0)
        below.margins(x=0)


def _lines(axes: Axes, panel: Panel, drawn: Drawn) -> dict[str, Artist]:
    """Draw each series; return what stands for it in a legend, by its name."""
    key: dict[str, Artist] = {}
    stacked = panel.view is View.STACK
    coloured = list(_coloured(drawn))
    if layers := [(one, look) for query, one, look in coloured if stacked and not query.apart]:
        moments = sorted({at for one, _ in layers for at, _ in one.points})
        values = [[dict(one.points).get(at, 0.0) for at in moments] for one, _ in layers]
        areas = axes.stackplot(moments, values, colors=[look for _, look in layers], alpha=0.85, lw=0)
        key |= {one.name: area for (one, _), area in zip(layers, areas, strict=True)}
    for query, one, look in coloured:
        if query.apart or not stacked:
            at, value = zip(*one.points, strict=True)
            (key[one.name],) = axes.plot(at, value, lw=1.4, color=look, ls="--" if query.apart else "-")
    every = [0.0, *(value for _, answer in drawn for one in answer for _, value in one.points)]
    if panel.view is View.LINES:
        axes.set_ylim(min(every) * 1.1, max(every) * 1.12 or (panel.limit.value * 1.5 if panel.limit else 1))
    _limit(axes, panel)
    axes.yaxis.set_major_locator(_ticks(max(every), panel.unit))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value, panel.unit)))
    return key


def _coloured(drawn: Drawn) -> Iterator[tuple[Query, Series, Any]]:
    """Return every series with its colour: the next one, or a shade of its query's."""
    others = cycle(COLOURS)
    for query, answer in drawn:
        for number, one in enumerate(answer, 1):
            if query.shades:
                yield query, one, mpl.colormaps[f"{query.shades.capitalize()}s"](0.3 + 0.6 * number / len(answer))
            else:
                yield query, one, INK if query.apart else next(others)


def _ticks(highest: float, unit: Unit) -> Locator:
    """Return where the axis has its numbers: at round ones, and at none but 0 where there is nothing else."""
    if highest == 0:
        return FixedLocator([0])
    if unit is Unit.BYTES:
        step = 2 ** round(log2(highest / 4))
        return MultipleLocator(step)
    return MaxNLocator(5)


def _limit(axes: Axes, panel: Panel) -> None:
    """Draw the limit, or say where it is."""
    if panel.limit is None:
        return
    red = panel.limit.value
    axes.axhline(red, color=RED, lw=1, ls=(0, (5, 3)))
    if red > axes.get_ylim()[1]:
        axes.set_ylim(top=axes.get_ylim()[1])
    sign = "<" if panel.limit.low else ">"
    axes.text(
        *(0.995, 1.01, f"red {sign} {shown(red, panel.unit)}"),
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=7,
        color=RED,
    )


def _legend(axes: Axes, panel: Panel, key: Mapping[str, Artist]) -> None:
    """Name the series: beside a wide drawing, below another, as many as there is place for; Grafana scrolls."""
    box = axes.get_window_extent()
    if panel.width >= BESIDE:
        _name(axes, key, int(box.height / NAME_PX), bbox_to_anchor=(1.0, 1.0))
        return
    for columns in (4, 3, 2, 1):
        legend = _name(axes, key, NAMES_BELOW * columns, ncols=columns, bbox_to_anchor=(-0.02, -0.1))
        if legend.get_window_extent().width <= box.width + SPARE_PX:
            return


def _name(axes: Axes, key: Mapping[str, Artist], most: int, **place: Any) -> Legend:
    names = list(key)
    if len(names) > most:
        names[most - 1] = f"and {len(names) - most + 1} more"
    return axes.legend(list(key.values())[:most], names[:most], **LEGEND, **place)


def _heatmap(axes: Axes, panel: Panel, answer: Sequence[Series]) -> None:
    """Draw how many fell into each bucket: the darker, the more."""
    bounds = sorted(answer, key=lambda one: float(one.name))  # "+Inf" is one, too
    moments = sorted({at for one in bounds for at, _ in one.points})
    within = [[dict(one.points).get(at, 0.0) for at in moments] for one in bounds]
    counts = [within[0], *([max(0.0, b - a) for a, b in zip(*pair, strict=True)] for pair in pairwise(within))]
    used = [index for index, row in enumerate(counts) if any(value > 1e-9 for value in row)] or [0]
    shown_rows = range(max(0, used[0] - 1), used[-1] + 1)
    grid = [[value or float("nan") for value in counts[index]] for index in shown_rows]
    step = moments[1] - moments[0] if len(moments) > 1 else 1.0
    edges = [*(at - step / 2 for at in moments), moments[-1] + step / 2]
    axes.pcolormesh(edges, range(len(grid) + 1), grid, cmap="Oranges", norm=mpl.colors.PowerNorm(0.5, vmin=0))
    axes.yaxis.set_major_locator(FixedLocator([number + 1 for number in range(len(grid))]))
    axes.set_yticklabels([_bound(bounds[index].name, panel) for index in shown_rows])
    axes.grid(visible=False)


def _bound(name: str, panel: Panel) -> str:
    return "∞" if name == "+Inf" else shown(float(name), panel.unit)


def _states(axes: Axes, panel: Panel, answer: Sequence[Series], window: Window) -> None:
    """Draw one bar a series, in the colour of each of its values."""
    without = {0.0: GREY, 1.0: BLUE, 2.0: INK}
    reached = None if panel.limit is None or panel.limit.low else panel.limit.value  # a state, not an amount
    for row, one in enumerate(reversed(answer)):
        at = [moment for moment, _ in one.points]
        for index, (moment, value) in enumerate(one.points):
            until = at[index + 1] if index + 1 < len(at) else moment + window.step_s
            look = RED if value == reached else colour(value, panel.limit, without=without[value])
            axes.broken_barh([(moment, until - moment)], (row + 0.12, 0.76), color=look, lw=0)
    axes.set_ylim(0, len(answer))
    axes.set_yticks([row + 0.5 for row in range(len(answer))], [one.name for one in reversed(answer)])
    axes.grid(visible=False)
