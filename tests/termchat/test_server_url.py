"""services/termchat/server_url.py: where a server is reached, as a person writes it."""

import pytest

from services.termchat.server_url import ServerUrl


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("http://localhost:3001", ServerUrl("http", "localhost", 3001, "")),
        ("localhost:3001", ServerUrl("http", "localhost", 3001, "")),
        ("http://chat.example.org", ServerUrl("http", "chat.example.org", 80, "")),
        ("https://chat.example.org", ServerUrl("https", "chat.example.org", 443, "")),
        ("https://chat.example.org/sluice/", ServerUrl("https", "chat.example.org", 443, "/sluice")),
        ("https://chat.example.org:8443/a/b", ServerUrl("https", "chat.example.org", 8443, "/a/b")),
        ("http://[::1]:3001/", ServerUrl("http", "::1", 3001, "")),
        ("  http://10.0.0.7:3001 ", ServerUrl("http", "10.0.0.7", 3001, "")),
    ],
)
def test_a_url_is_taken_apart(text: str, place: ServerUrl) -> None:
    assert ServerUrl.parse(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://host",
        "http://",
        "http://user:secret@host",
        "http://host?x=1",
        "http://host/a?x=1",
        "http://host#x",
        "http://host:65536",
        "http://host:",
        "http://ho st",
        "http://host/a b",
        "http://host//a",
        "http://host\r\nX: y",
        f"http://{'a' * 64}",
    ],
)
def test_what_is_no_url_of_a_server_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected http\(s\)://host") as refused:
        ServerUrl.parse(text)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["http://localhost:3001", "https://chat.example.org/sluice", "http://[::1]:3001"])
def test_it_is_shown_as_it_was_written(text: str) -> None:
    assert str(ServerUrl.parse(text)) == text


@pytest.mark.parametrize(("text", "secure"), [("https://a", True), ("http://a", False), ("a:3001", False)])
def test_tls_is_spoken_where_the_scheme_says_so(text: str, secure: bool) -> None:
    assert ServerUrl.parse(text).is_secure is secure
