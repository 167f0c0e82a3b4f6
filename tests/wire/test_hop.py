import pytest

from services.wire.hop import HOP_VERSION, SAID_MAX, Chat, OtherVersions


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


@pytest.mark.parametrize("chat", [Chat("c" * 16), Chat("c" * 128, "m/1")])
def test_a_chat_is_read_from_the_headers_that_name_it(chat: Chat) -> None:
    assert Chat.of(chat.headers) == chat


def test_headers_that_name_no_chat_are_none() -> None:
    assert Chat.of({"Sluice-Message": "m"}) is None


@pytest.mark.parametrize(
    "parts", [("c" * 15,), ("c" * 129,), ("c" * 16 + "\n",), ("c" * 16, "ёж"), ("c" * 16, "m" * 257)]
)
def test_what_no_header_takes_is_no_chat(parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="no name of a chat"):
        Chat(*parts)
