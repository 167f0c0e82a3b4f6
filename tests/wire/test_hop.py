import pytest

from services.wire.hop import HOP_VERSION, SAID_MAX, OtherVersions


def test_a_gateway_of_our_own_version_is_no_news() -> None:
    assert OtherVersions().news(HOP_VERSION) is None


@pytest.mark.parametrize(
    ("said", "told"),
    [("2", "2"), ("", "none"), ("12345", "unreadable"), ("one", "unreadable"), ("\u0662", "unreadable")],
)
def test_another_version_is_told_once(said: str, told: str) -> None:
    versions = OtherVersions()

    assert [versions.news(said), versions.news(said)] == [told, None]


def test_each_other_version_is_told_and_no_more_than_there_can_be() -> None:
    versions = OtherVersions()

    told = [versions.news(str(number)) for number in range(2, SAID_MAX + 10)]

    assert told == [*map(str, range(2, SAID_MAX + 2)), *[None] * 8]
