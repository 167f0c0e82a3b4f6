import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.config.config import ServerConfig
from proxy.config.server_url import ServerUrl
from proxy.upstream.dialling import endpoint_of, proxy_of, trusted
from services.http.dialling import Proxy, Resolver

SERVER = ServerConfig("a", "openai", ServerUrl.parse("https://api.example.com/v1"))


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    resolver = Resolver()
    yield resolver
    resolver.close()


def test_https_is_dialled_with_a_check_of_the_certificate(resolver: Resolver) -> None:
    endpoint = endpoint_of(SERVER, resolver)
    context = trusted("")

    assert (endpoint.base_path, endpoint.host_header) == ("/v1", "api.example.com")
    assert endpoint.dialler is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_http_is_the_loop_s_own_to_dial(resolver: Resolver) -> None:
    endpoint = endpoint_of(replace(SERVER, url=ServerUrl.parse("http://gpu1:11434")), resolver)

    assert (endpoint.dialler, endpoint.host_header) == (None, "")


@pytest.mark.parametrize(
    ("own", "environment", "expected"),
    [
        (None, {}, None),
        (None, {"HTTPS_PROXY": "http://p:3128"}, Proxy("p", 3128)),
        (None, {"https_proxy": "p:3128"}, Proxy("p", 3128)),
        (None, {"HTTP_PROXY": "http://p:3128"}, None),
        (None, {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "example.com"}, None),
        (None, {"HTTPS_PROXY": "http://p:3128", "no_proxy": "*"}, None),
        (None, {"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "other.com"}, Proxy("p", 3128)),
        ("", {"HTTPS_PROXY": "http://p:3128"}, None),
        ("http://own:8080", {"HTTPS_PROXY": "http://p:3128"}, Proxy("own", 8080)),
    ],
)
def test_a_server_s_own_proxy_counts_before_the_environment_s(
    own: str | None, environment: dict[str, str], expected: Proxy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert proxy_of(replace(SERVER, proxy=own)) == expected


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(OSError, match="certificate"):
        trusted(str(tmp_path / "ca.pem"))
