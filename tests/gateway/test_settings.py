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
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings.model_validate({name: value})


def test_no_drain_is_allowed() -> None:
    assert GatewaySettings.model_validate({"drain_s": 0}).drain_s == 0
