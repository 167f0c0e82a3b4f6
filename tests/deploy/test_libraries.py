"""What `make run` says of fetching the page's libraries: deploy/libraries.py."""

import pytest

from deploy import libraries
from tests.eventually import eventually


def told_by(monkeypatch: pytest.MonkeyPatch, script: str) -> list[str]:
    """Return what is told while ``script`` runs in the place of the real one."""
    told: list[str] = []
    monkeypatch.setattr(libraries, "COMMAND", ("sh", "-c", script))
    with libraries.Fetching(told.append) as fetching:
        fetching.wait()
    return told


def test_what_was_there_already_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert told_by(monkeypatch, "exit 0") == []


def test_what_was_installed_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = told_by(monkeypatch, "echo installed")

    assert "it shows Markdown from now on" in line


def test_what_could_not_be_fetched_is_told_with_the_last_word_of_why(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = told_by(monkeypatch, "echo a long story >&2; echo no network >&2; exit 1")

    assert line == "The page shows plain text, its libraries cannot be fetched: no network\n"


def test_a_fetch_that_is_under_way_at_the_end_is_ended_with_its_children(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(libraries, "COMMAND", ("sh", "-c", "sleep 60 & wait"))

    with libraries.Fetching(told.append) as fetching:
        assert fetching.running

    eventually(lambda: not fetching.running, "the script ended")
    fetching.wait()
    assert told == []
