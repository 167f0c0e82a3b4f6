"""A machine that has not what a test needs says so by name."""

from pathlib import Path

import pytest

from tests.machine import lacking, needs, program


def test_what_is_there_is_not_lacking() -> None:
    assert lacking("sh") == ""


def test_what_is_not_there_is_named() -> None:
    assert lacking("sh", "no-such-program") == "this machine has no no-such-program"


def test_what_is_hidden_is_lacking_though_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_TEST_WITHOUT", "node, sh")

    assert lacking("sh", "true") == "this machine has no sh (hidden by SLUICE_TEST_WITHOUT)"


def test_a_program_is_found_by_any_of_its_names_unless_it_is_hidden(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    browser = tmp_path / "chromium-browser"
    browser.write_text("")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLUICE_TEST_WITHOUT", raising=False)

    assert program("chromium") == str(browser)

    monkeypatch.setenv("SLUICE_TEST_WITHOUT", "chromium")
    assert program("chromium") is None


def test_a_test_is_skipped_with_the_reason() -> None:
    mark = needs("no-such-program").mark

    assert (mark.name, mark.args) == ("skipif", (True,))
    assert mark.kwargs == {"reason": "this machine has no no-such-program"}
