import json
from pathlib import Path

import pytest

from tests.bench import page
from tests.bench.contender import NGINX

REPORT = {
    "head": {**dict.fromkeys(page.HEAD, "as told"), "versions": {"aiohttp": "3.14.5"}, "optimised": True},
    "ours": "Sluice",
    "contenders": ["direct", NGINX, "Sluice"],
    "figures": {
        "token_cpu_us.200": {NGINX: [30.0], "Sluice": [54.0]},
        "token_cpu_us.200.first": {NGINX: [15.0]},
        "token_cpu_us.200.second": {NGINX: [15.0]},
        "token_cpu_us.500": {NGINX: [28.0], "Sluice": [50.0]},
        "resident_kib": {NGINX: [19.0], "Sluice": [44.0]},
        "delay_ms.200.p50": {"direct": [0.1], NGINX: [0.2], "Sluice": [0.5]},
        "delay_ms.200.p99": {"direct": [0.2], NGINX: [0.4], "Sluice": [1.5]},
    },
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "docs").mkdir()
    monkeypatch.setattr(page, "ROOT", tmp_path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "docs/performance.md")
    monkeypatch.setattr(page, "PICTURES", tmp_path / "docs" / "performance")
    page.PAGE.write_text(f"before\n{page.BEGIN}\nan older table\n{page.END}\nafter\n")
    (tmp_path / "report.json").write_text(json.dumps(REPORT))
    return tmp_path


def test_only_what_is_between_the_markers_is_written_and_it_can_be_written_again(home: Path) -> None:
    assert page.main([str(home / "report.json")]) == 0
    once = page.PAGE.read_text()
    assert page.main([str(home / "report.json")]) == 0

    assert page.PAGE.read_text() == once
    assert once.startswith(f"before\n{page.BEGIN}\n")
    assert once.endswith(f"{page.END}\nafter\n")
    assert "an older table" not in once
    assert "| CPU a token, 200 streams at 50/s, µs | - | 30.0 | 54.0 | 1.80 | ≤ 2 | ≤ 1.5 | ✓ |" in once


def test_a_picture_is_drawn_of_what_there_are_figures_for_and_shown_on_the_page(home: Path) -> None:
    page.main([str(home / "report.json")])

    drawn = sorted(path.name for path in page.PICTURES.iterdir())
    assert drawn == ["cost.png", "delays.png", "memory.png", "scaling.png"]
    assert all(f"](performance/{name})" in page.PAGE.read_text() for name in drawn)


def test_without_a_report_it_is_said_what_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert page.main([str(tmp_path / "nothing.json")]) == 1
    assert "make bench writes one" in capsys.readouterr().err
