"""services/termchat/files.py: files that are theirs alone, and written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from services.termchat import files
from services.termchat.files import NotReadable, history_path, path_of, prepare_history, read_text, save_text


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_history_is_where_the_desktop_keeps_states() -> None:
    assert history_path({"XDG_STATE_HOME": "/var/state"}) == Path("/var/state/sluice/history")


@pytest.mark.parametrize("environ", [{}, {"XDG_STATE_HOME": ""}, {"XDG_STATE_HOME": "relative"}])
def test_without_a_word_of_it_in_the_home(environ: dict[str, str]) -> None:
    assert history_path(environ) == Path.home() / ".local/state/sluice/history"


def test_a_new_history_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "sluice" / "history"

    prepare_history(path)

    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_an_old_one_that_others_could_read_no_longer_can_be(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("\n# 2026\n+hi\n")
    path.chmod(0o644)

    prepare_history(path)

    assert mode(path) == 0o600
    assert path.read_text() == "\n# 2026\n+hi\n"


def test_a_history_beyond_its_bound_loses_its_older_half_at_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "history"
    entries = [f"\n# {number}\n+{'x' * 1000}\n" for number in range(1200)]
    path.write_text("".join(entries))
    assert path.stat().st_size > files.HISTORY_BYTES

    prepare_history(path)

    left = path.read_text()
    assert len(left) <= files.HISTORY_BYTES / 2
    assert f"\n{left}".endswith("".join(entries[-500:]))
    assert left.startswith("# ")
    assert mode(path) == 0o600


def test_a_history_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "sluice").write_text("a file where a folder should be")

    with pytest.raises(NotReadable, match="file exists"):
        prepare_history(tmp_path / "sluice" / "history")


def test_what_is_saved_is_for_its_owner_alone_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"

    save_text(path, "ёж")

    assert read_text(path) == "ёж"
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["talk.json"]  # noqa: PTH208 names only


def test_where_the_disk_is_full_what_was_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "talk.json"
    save_text(path, "old")

    def full(_fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotReadable, match="no space left on device"):
        save_text(path, "new")

    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["talk.json"]  # noqa: PTH208 names only


@pytest.mark.parametrize("text", ["~nobody-has-it/x", "a\0b"])
def test_what_no_file_is_called_is_told(text: str) -> None:
    with pytest.raises(NotReadable):
        path_of(text)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(NotReadable, match=r"^it is no file"):
        read_text(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"\xff\xfe", "it is no text"), (b"x" * (files.LOAD_BYTES + 1), "it is longer than")],
)
def test_what_cannot_be_read_is_told_with_the_reason(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "talk.json"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(NotReadable, match=f"^{reason}"):
        read_text(path)
