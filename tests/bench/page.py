"""``python -m tests.bench.page [report.json]``: a report's table and pictures into docs/performance.md."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.bench import table
from tests.bench.pictures import draw
from tests.bench.results import Results

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs/performance.md"
PICTURES: Final = ROOT / "docs" / "performance"
BEGIN, END = "<!-- report: written by python -m tests.bench.page -->", "<!-- /report -->"
HEAD: Final[Mapping[str, str]] = {
    "machine": "machine",
    "cores": "cores",
    "sluice": "Sluice",
    "python": "Python of the servers",
    "mode": "our modules",
    "versions": "beside them",
    "nginx": "nginx",
    "generator": "load generator and model server",
    "rounds": "rounds",
    "took": "took",
    "others": "meanwhile",
}


def main(arguments: Sequence[str]) -> int:
    """Write the page's generated part, and its pictures."""
    source = Path(arguments[0]) if arguments else ROOT / ".bench" / "report.json"
    try:
        report = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        print(f"{source}: {exc}; make bench writes one", file=sys.stderr)
        return 1
    PICTURES.mkdir(exist_ok=True)
    pictures = draw(Results(report["contenders"], report["figures"]), report["ours"], PICTURES)
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    words = "\n".join(generated(report, pictures))
    PAGE.write_text(f"{before}{BEGIN}\n{words}\n{END}{after}", encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}, {len(pictures)} pictures")
    return 0


def generated(report: Mapping[str, Any], pictures: Mapping[str, str]) -> Iterator[str]:
    """Return the lines between the markers.

    Args:
        pictures: what each shows, by its file's name.
    """
    told = report["head"]
    yield from (f"- {label}: {_words(told[name])}" for name, label in HEAD.items())
    yield ""
    yield from _table(report)
    for name, shows in pictures.items():
        yield f"\n![{shows}](performance/{name})"


def _words(value: object) -> str:
    return ", ".join(f"{name} {of}" for name, of in value.items()) if isinstance(value, dict) else str(value)


def _table(report: Mapping[str, Any]) -> Iterator[str]:
    results, contenders = Results(report["contenders"], report["figures"]), report["contenders"]
    yield _row(["", *contenders, "÷ two nginx", "limit", "goal", ""])
    yield _row(["---"] * (len(contenders) + 5))
    for line in table.lines(results, report["ours"], judging=report["head"]["optimised"]):
        yield _row([line.label, *line.cells, line.judged, line.limit, line.goal, line.verdict])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
