"""The pictures of docs/performance.md: bars and lines of what a report holds, drawn the same for every report."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.contender import NGINX
from tests.bench.limits import ROWS
from tests.bench.results import Results

SIZE: Final = (8.0, 3.6)  # inches
DPI: Final = 120
GREY: Final = "#5f6b7a"
COLOURS: Final = ("#9aa5b1", "#c98a2b", "#2f6db5", "#7b4fa3", "#3f8f5b")
SECOND_HOP: Final = 0.55  # opacity: the hop beside the model server
STREAMS: Final = (10, 50, 100, 200, 500, 1000)
LENGTHS: Final = (100, 1000, 10_000)

Draw = Callable[[Results, str, Figure], bool]


def draw(results: Results, ours: str, folder: Path) -> dict[str, str]:
    """Draw into ``folder`` what there are figures for; return what each picture shows, by its file's name."""
    shown: dict[str, str] = {}
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        for name, (shows, drawing) in PICTURES.items():
            figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
            if drawing(results, ours, figure):
                figure.savefig(folder / f"{name}.png", metadata={"Software": None})
                shown[f"{name}.png"] = shows
    return shown


def _cost(results: Results, ours: str, figure: Figure) -> bool:
    """CPU a token, hop upon hop, beside the limit and the goal, which are multiples of two nginx."""
    axes, named = (
        figure.add_subplot(),
        [(f"{streams} streams", f"token_cpu_us.{streams}") for streams in (50, 200, 500)],
    )
    groups = [(label, of) for label, of in named if results.spread(of, ours)]
    _stacked(axes, results, groups)
    limits = {row.figure: (row.limit, row.goal) for row in ROWS}
    for place, (_, name) in enumerate(groups):
        reference = results.spread(name, NGINX)
        for bound, style in zip(limits[name], ("-", ":"), strict=True):
            if reference and bound:
                axes.plot([place - 0.42, place + 0.42], [bound * reference.middle] * 2, style, color="#b3261e", lw=1.2)
    axes.set_ylabel("CPU a token, µs")
    _title(axes, "A token costs, at both hops", "red: the limit; dotted: the goal; darker: the hop beside the client")
    return bool(groups)


def _memory(results: Results, ours: str, figure: Figure) -> bool:
    axes = figure.add_subplot()
    _stacked(axes, results, [("1,000 waiting streams", "resident_kib")])
    (row,) = (row for row in ROWS if row.figure == "resident_kib")
    for bound, style in ((row.limit, "-"), (row.goal, ":")):
        if bound is not None:
            axes.axhline(bound, ls=style, color="#b3261e", lw=1.2)
    axes.set_xlim(-1.2, 1.2)
    axes.set_ylabel("KiB a stream")
    _title(axes, "A waiting stream holds, at both hops", "red: the limit; dotted: the goal")
    return results.spread("resident_kib", ours) is not None


def _stacked(axes: Axes, results: Results, groups: Sequence[tuple[str, str]]) -> None:
    """Draw a bar for each contender in each group: its hops, one upon the other, and the sum above."""
    contenders = [name for name in results.contenders if any(results.spread(of, name) for _, of in groups)]
    width = 0.8 / max(1, len(contenders))
    for number, contender in enumerate(contenders):
        for place, (_, of) in enumerate(groups):
            at, base = place + (number - (len(contenders) - 1) / 2) * width, 0.0
            for opacity, height in zip((1.0, SECOND_HOP), _hops(results, of, contender), strict=False):
                axes.bar(at, height, width * 0.9, bottom=base, color=_colour(results, contender), alpha=opacity)
                base += height
            if base:
                words = axes.annotate(f"{contender}\n{base:.0f}", (at, base), ha="center", va="bottom", fontsize=8)
                words.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1})
    axes.set_xticks(range(len(groups)), [label for label, _ in groups])
    axes.margins(y=0.18)


def _hops(results: Results, of: str, contender: str) -> list[float]:
    names = [name for name, by in results.figures.items() if name.startswith(f"{of}.") and contender in by]
    return [spread.middle for name in names if (spread := results.spread(name, contender))]


def _delays(results: Results, ours: str, figure: Figure) -> bool:
    """Delay of a token and what is added to the first: from p50 to p99, on one logarithmic scale."""
    axes, labels = figure.add_subplot(), []
    rows = [(f"delay, {streams} streams", f"delay_ms.{streams}") for streams in (50, 200, 500)]
    rows += [("first token, beside 200", "added_ms.beside.200"), ("first token, 200 opening", "added_ms.opening.200")]
    rows += [("first token, alone", "added_ms.back_to_back"), ("first token, 20 ms between", "added_ms.pausing")]
    found = [row for row in rows if results.spread(f"{row[1]}.p50", ours)]
    contenders = [name for name in results.contenders if results.spread(f"{found[0][1]}.p50", name)] if found else []
    for place, (label, of) in enumerate(reversed(found)):
        labels.append(label)
        for number, contender in enumerate(contenders):
            ends = [results.spread(f"{of}.{which}", contender) for which in ("p50", "p99")]
            middle, far = (max(end.middle, 1e-3) if end else 1e-3 for end in ends)
            at, colour = place - (number - (len(contenders) - 1) / 2) * 0.24, _colour(results, contender)
            axes.plot([middle, far], [at, at], "-", color=colour, lw=2, alpha=0.6)
            axes.plot(middle, at, "o", color=colour, ms=5, label=contender if place == 0 else None)
            axes.plot(far, at, "|", color=colour, ms=8, mew=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("ms, logarithmic")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(axis="x", color="#e3e7ec", lw=0.6)
    _title(axes, "From the model server to the client", "dot: p50, bar: p99")
    return bool(found)


def _scaling(results: Results, ours: str, figure: Figure) -> bool:
    """CPU a token against streams, and against the length of answers."""
    drawn = False
    sides = (
        ("streams, each at 50 tokens/s", "token_cpu_us", STREAMS),
        ("tokens of an answer", "length_cpu_us", LENGTHS),
    )
    for axes, (label, of, values) in zip(figure.subplots(1, 2, sharey=True), sides, strict=True):
        for contender in results.contenders:
            points = list(_points(results, of, values, contender))
            if len(points) > 1:
                drawn = drawn or contender == ours
                axes.plot(*zip(*points, strict=True), "o-", color=_colour(results, contender), ms=4)
                beside = {"xytext": (7, 2), "textcoords": "offset points", "ha": "left", "va": "center"}
                axes.annotate(contender, points[0], color=GREY, fontsize=8, **beside)  # where they are apart
        axes.set_xscale("log")
        axes.set_xticks(values, [f"{value:,}" for value in values])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_xlabel(label)
        axes.grid(axis="y", color="#e3e7ec", lw=0.6)
    figure.axes[0].set_ylabel("CPU a token, µs")
    _title(figure.axes[0], "What a token costs among more of them", "")
    return drawn


def _points(results: Results, of: str, values: Sequence[int], contender: str) -> Iterator[tuple[int, float]]:
    for value in values:
        if (spread := results.spread(f"{of}.{value}", contender)) is not None:
            yield value, spread.middle


def _colour(results: Results, contender: str) -> str:
    return COLOURS[results.contenders.index(contender) % len(COLOURS)]


def _title(axes: Axes, title: str, note: str) -> None:
    axes.set_title(title, loc="left", fontweight="bold", fontsize=10, pad=16 if note else 6)
    axes.text(0, 1.02, note, transform=axes.transAxes, color=GREY, fontsize=8, va="bottom")


PICTURES: Final[Mapping[str, tuple[str, Draw]]] = {
    "cost": ("CPU a token by contender and hop", _cost),
    "delays": ("Delay of tokens and of first tokens, p50 to p99, by contender", _delays),
    "scaling": ("CPU a token against streams and against the length of answers", _scaling),
    "memory": ("Memory of a waiting stream by contender and hop", _memory),
}
