"""What compose does before it starts anything: settings are judged, and Grafana's password is made."""

import os
import subprocess
import sys
from pathlib import Path

from deploy.prepare import keep_password
from tests.chain import ROOT


def prepared(file: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return subprocess.run(
        [sys.executable, "-m", "deploy.prepare", str(file)],
        cwd=ROOT,
        env={**clean, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_good_settings_let_everything_start_and_there_is_a_password(tmp_path: Path) -> None:
    file = tmp_path / "password"

    done = prepared(file, SLUICE_GATEWAY_DRAIN_S="5", SLUICE_PROXY_PERMITS="4")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(file.read_text()) >= 32
    assert [path.name for path in tmp_path.iterdir()] == ["password"]


def test_each_process_that_minds_says_so_and_there_is_no_password(tmp_path: Path) -> None:
    done = prepared(tmp_path / "password", SLUICE_GATEWAY_DRAIN_S="soon", SLUICE_WEB_GATEWAY_URL="box")

    assert done.returncode == 2
    assert sorted(line.partition(":")[0] for line in done.stderr.strip().split("\n")) == [
        "SLUICE_GATEWAY_DRAIN_S",
        "SLUICE_WEB_GATEWAY_URL",
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_password_that_is_there_is_kept_and_two_are_never_alike(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    keep_password(one)
    first = one.read_text()

    keep_password(one)
    keep_password(other)

    assert one.read_text() == first != other.read_text()


def test_grafana_reads_it_though_it_is_another_user(tmp_path: Path) -> None:
    keep_password(tmp_path / "password")

    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o444
