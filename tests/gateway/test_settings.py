import pytest
from pydantic import ValidationError

from gateway.settings import GatewaySettings


def test_without_settings_only_this_machine_s_page_may_ask() -> None:
    settings = GatewaySettings.model_validate({})

    assert settings.listen.host == "127.0.0.1"
    assert settings.cors_origins == ("http://localhost:3000", "http://127.0.0.1:3000")
    assert settings.hosts == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_output_tokens", 0),
        ("body_bytes", 1023),
        ("body_bytes", (32 << 20) + 1),
        ("body_timeout_s", 0),
        ("write_timeout_s", 0),
        ("max_streams", 0),
        ("heartbeat_s", 61),
        ("drain_s", -1),
        ("default_model", "x" * 257),
        ("time_zone", "Europe/Nowhere"),
        ("time_zone", "../../etc/passwd"),
        ("valkey_url", "http://valkey:6379"),
        ("valkey_url", "valkey://"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({name: value})


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8080",
        "a=http://127.0.0.1:8080",
        "a=http://one:8080,b=http://[::1]:8080",
        "0123456789abcdef=http://x:1,B=http://x:2",
    ],
)
def test_proxies_are_read_as_they_are_written(text: str) -> None:
    settings = GatewaySettings.model_validate({"proxy_url": text})

    assert ",".join(map(str, settings.proxy_url)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a=http://x:1,a=http://y:1",
        "http://x:1,b=http://y:1",
        "http://x:1,http://y:1",
        "a-b=http://x:1",
        "0123456789abcdefg=http://x:1",
        "a=ftp://x:1",
        "a=http://u:p@x:1",
        "a=http://x:1/path",
        "a=",
    ],
)
def test_proxies_that_cannot_be_told_apart_or_reached_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({"proxy_url": text})


def test_no_drain_is_allowed() -> None:
    assert GatewaySettings.model_validate({"drain_s": 0}).drain_s == 0


@pytest.mark.parametrize("url", ["", "valkey://127.0.0.1", "valkeys://user:secret@valkey:6379/1", "redis://[::1]:6379"])
def test_where_limits_are_shared_is_read_and_never_shown(url: str) -> None:
    settings = GatewaySettings.model_validate({"valkey_url": url})

    assert settings.valkey_url.get_secret_value() == url
    assert "secret" not in repr(settings)
