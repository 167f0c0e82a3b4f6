"""The table of docs/settings.md against the settings classes."""

import pytest

from tests.documents.declared import settings_of
from tests.documents.tables import table

PROCESSES = ["proxy", "gateway", "services.simulator", "services.webchat", "services.termchat"]


def test_the_page_lists_every_setting_with_its_default_and_no_other() -> None:
    in_code = {row.name: row.default for package in PROCESSES for row in settings_of(package)}
    in_the_page = {
        name: "" if default == "empty" else default for name, default, *_ in table("docs/settings.md", "settings")
    }

    assert in_the_page == in_code


@pytest.mark.parametrize("package", PROCESSES)
def test_every_setting_says_what_it_means(package: str) -> None:
    assert [row.name for row in settings_of(package) if len(row.description) < 10] == []


@pytest.mark.parametrize("package", ["proxy", "gateway"])
def test_a_server_has_no_more_settings_than_an_operator_can_know(package: str) -> None:
    assert len(settings_of(package)) <= 30
