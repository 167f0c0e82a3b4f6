import pytest
from pydantic import ValidationError

from proxy.settings import ProxySettings


def test_two_proxies_have_names_of_their_own() -> None:
    names = {ProxySettings.model_validate({}).instance_name for _ in range(50)}

    assert len(names) > 40
    assert all(1 <= len(name) <= 16 and name.isalnum() for name in names)


@pytest.mark.parametrize("instance", ["", "a-b", "a.b", "x" * 17, "ё"])
def test_an_instance_that_could_not_stand_in_a_stream_id_is_refused(instance: str) -> None:
    with pytest.raises(ValidationError):
        ProxySettings.model_validate({"instance": instance})


@pytest.mark.parametrize(("grace_s", "keep_s", "good"), [(30, 60, True), (30, 30, True), (60, 30, False)])
def test_a_finished_stream_is_kept_at_least_as_long_as_the_grace(grace_s: float, keep_s: float, *, good: bool) -> None:
    """Who comes back within the grace must find the end."""
    given = {"grace_s": grace_s, "keep_s": keep_s}
    if good:
        assert ProxySettings.model_validate(given).keep_s == keep_s
        return
    with pytest.raises(ValidationError, match="SLUICE_PROXY_KEEP_S"):
        ProxySettings.model_validate(given)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("permits", 0),
        ("queue_length", -1),
        ("log_bytes", (1 << 16) - 1),
        ("heartbeat_s", 0),
        ("heartbeat_s", 61),
        ("idle_timeout_s", 0),
        ("drain_s", -1),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError):
        ProxySettings.model_validate({name: value})


def test_a_line_of_no_length_and_no_drain_are_allowed() -> None:
    settings = ProxySettings.model_validate({"queue_length": 0, "drain_s": 0})

    assert (settings.queue_length, settings.drain_s) == (0, 0)
