import pytest

from proxy.config.server_url import ServerUrl


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://gpu1:11434", ServerUrl("http", "gpu1", 11434)),
        ("http://127.0.0.1", ServerUrl("http", "127.0.0.1", 80)),
        ("https://api.groq.com/openai/v1/", ServerUrl("https", "api.groq.com", 443, "/openai/v1")),
        ("https://[::1]:8443/", ServerUrl("https", "::1", 8443)),
    ],
)
def test_a_url_is_taken_apart(text: str, expected: ServerUrl) -> None:
    assert ServerUrl.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["gpu1", "ftp://gpu1", "http://", "http://a b", "http://user:secret@gpu1", "http://gpu1:99999", "http://g/?q=1"],
)
def test_what_is_no_url_is_refused_and_not_quoted(text: str) -> None:
    """A secret may stand in it."""
    with pytest.raises(ValueError, match="expected http") as refused:
        ServerUrl.parse(text)

    assert text not in str(refused.value)


@pytest.mark.parametrize(
    ("host", "private", "address"),
    [
        ("127.0.0.1", True, True),
        ("10.1.2.3", True, True),
        ("[::1]", True, True),
        ("localhost", True, True),
        ("gpu1", True, False),
        ("gpu1.internal", True, False),
        ("8.8.8.8", False, False),
        ("ollama.example.com", False, False),
    ],
)
def test_what_is_on_the_operator_s_own_network(host: str, *, private: bool, address: bool) -> None:
    """A name may be looked up to any address: a key goes to what is written as one."""
    url = ServerUrl.parse(f"http://{host}")

    assert (url.is_private, url.is_private_address) == (private, address)
