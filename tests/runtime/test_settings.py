from typing import ClassVar, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from services.runtime.environment import SettingRow
from services.runtime.settings import (
    Address,
    CommaList,
    Origin,
    ProcessSettings,
    SettingsError,
    describe,
    read_settings,
)


def four_letters() -> str:
    """4 random letters."""
    return "abcd"


class ProxyLike(ProcessSettings):
    PREFIX: ClassVar[str] = "SLUICE_PROXY_"

    listen: Address = Field(default=Address("127.0.0.1", 8080), description="where it listens")
    ollama_url: Origin = Field(default=Origin.parse("http://127.0.0.1:11434"), description="the model server")
    permits: int = Field(default=1, ge=1, description="answers at once")
    grace_s: float = Field(default=30, ge=0, description="seconds; 0 means none")
    keep_s: float = Field(default=60, ge=0, description="seconds")
    log_bytes: int = Field(default=1 << 20, gt=0, description="bytes")
    hosts: CommaList = Field(default=(), description="names")
    default_model: str = Field(default="", description="a name")
    instance: str = Field(default_factory=four_letters, description="a name")

    @model_validator(mode="after")
    def _keep_what_can_be_followed(self) -> Self:
        if self.keep_s < self.grace_s:
            raise ValueError("SLUICE_PROXY_KEEP_S: expected at least SLUICE_PROXY_GRACE_S")
        return self


def problems_of(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        read_settings(ProxyLike, environ)
    return sorted(caught.value.problems)


def test_without_a_variable_every_setting_has_its_default() -> None:
    assert read_settings(ProxyLike, {"PATH": "/bin"}) == ProxyLike()


def test_each_variable_sets_its_field() -> None:
    settings = read_settings(
        ProxyLike,
        {
            "SLUICE_PROXY_LISTEN": "[::1]:99",
            "SLUICE_PROXY_OLLAMA_URL": "http://gpu-1/",
            "SLUICE_PROXY_PERMITS": "8",
            "SLUICE_PROXY_GRACE_S": "0.5",
            "SLUICE_PROXY_LOG_BYTES": "100",
            "SLUICE_PROXY_HOSTS": "a.example, b.example,",
            "SLUICE_LOG_LEVEL": "debug",
        },
    )

    assert settings.listen == Address("::1", 99)
    assert settings.ollama_url == Origin("http", "gpu-1", 80)
    assert (settings.permits, settings.grace_s, settings.log_bytes) == (8, 0.5, 100)
    assert settings.hosts == ("a.example", "b.example")
    assert settings.log_level == "debug"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        ProxyLike().permits = 2


def test_all_problems_are_told_at_once_each_with_its_name_and_no_value() -> None:
    problems = problems_of(
        SLUICE_PROXY_PERMITS="0",
        SLUICE_PROXY_GRACE_S="soon",
        SLUICE_PROXY_LISTEN="8080",
        SLUICE_LOG_LEVEL="loud",
        SLUICE_PROXY_PERMIT="1",
        SLUICE_PROXY_OLLAMA_URL="http://me:canary-4711@host",
    )

    assert problems == [
        "SLUICE_LOG_LEVEL: expected 'debug', 'info', 'warning' or 'error'",
        "SLUICE_PROXY_GRACE_S: expected a valid number, unable to parse string as a number",
        "SLUICE_PROXY_LISTEN: expected host:port, for example 127.0.0.1:8080 or [::1]:8080",
        "SLUICE_PROXY_OLLAMA_URL: expected http://host[:port] without credentials, path or query",
        "SLUICE_PROXY_PERMIT: unknown (did you mean SLUICE_PROXY_PERMITS?)",
        "SLUICE_PROXY_PERMITS: expected greater than or equal to 1",
    ]


def test_a_rule_between_settings_names_them() -> None:
    assert problems_of(SLUICE_PROXY_KEEP_S="1") == ["SLUICE_PROXY_KEEP_S: expected at least SLUICE_PROXY_GRACE_S"]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SLUICE_PROXY_LISTN", " (did you mean SLUICE_PROXY_LISTEN?)"),
        ("SLUICE_PRXY_LISTEN", " (did you mean SLUICE_PROXY_LISTEN?)"),
        ("SLUICE_GATWAY_HEARTBEAT_S", " (did you mean SLUICE_GATEWAY_HEARTBEAT_S?)"),
        ("SLUICE_LOG_FROMAT", " (did you mean SLUICE_LOG_FORMAT?)"),
        ("SLUICE_proxy_PERMITS", ""),
        ("SLUICE_X", ""),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_known_one(name: str, nearest: str) -> None:
    problem = problems_of(**{name: "1"})[0]

    assert problem.startswith(f"{name}: unknown{nearest}")


def test_a_name_of_another_process_is_that_process_s_business() -> None:
    environ = {
        "SLUICE_GATEWAY_NOT_THERE": "1",
        "SLUICE_WEB_LISTEN": "x",
        "SLUICE_SIMULATOR_PACE": "1",
        "SLUICE_TEST_WITHOUT": "x",
    }

    assert read_settings(ProxyLike, environ) == ProxyLike()


@pytest.mark.parametrize("name", ["PERMITS", "GRACE_S", "LISTEN", "OLLAMA_URL"])
def test_an_empty_variable_is_a_problem_where_empty_is_no_value(name: str) -> None:
    assert [problem.partition(":")[0] for problem in problems_of(**{f"SLUICE_PROXY_{name}": ""})] == [
        f"SLUICE_PROXY_{name}"
    ]


def test_an_empty_variable_is_the_empty_text_or_list() -> None:
    settings = read_settings(ProxyLike, {"SLUICE_PROXY_HOSTS": "", "SLUICE_PROXY_DEFAULT_MODEL": ""})

    assert (settings.hosts, settings.default_model) == ((), "")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-1"])
def test_seconds_are_finite_and_not_negative(number: str) -> None:
    assert problems_of(SLUICE_PROXY_GRACE_S=number)[0].startswith("SLUICE_PROXY_GRACE_S: expected")


def test_describe_lists_the_variables_with_what_one_would_write_in_them() -> None:
    rows = describe(ProxyLike)

    assert rows[0] == SettingRow("SLUICE_PROXY_LISTEN", "127.0.0.1:8080", "where it listens")
    assert {row.name.removeprefix("SLUICE_"): row.default for row in rows[1:]} == {
        "PROXY_OLLAMA_URL": "http://127.0.0.1:11434",
        "PROXY_PERMITS": "1",
        "PROXY_GRACE_S": "30",
        "PROXY_KEEP_S": "60",
        "PROXY_LOG_BYTES": "1048576",
        "PROXY_HOSTS": "",
        "PROXY_DEFAULT_MODEL": "",
        "PROXY_INSTANCE": "4 random letters",
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "auto",
    }


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "localhost:0", "[::1]:65535", "[fe80::1%eth0]:1"])
def test_an_address_reads_what_it_writes(text: str) -> None:
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "host",
        "host:",
        "host:65536",
        "host:-1",
        "::1:80",
        "a b:1",
        "h:1x",
        "h:٣",
        "http://h:1",
        "h:1\n",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected host:port"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("http://host", "http://host:80"),
        ("http://host:1/", "http://host:1"),
        ("http://[::1]", "http://[::1]:80"),
        ("http://[::1]:5", "http://[::1]:5"),
    ],
)
def test_an_origin_is_scheme_host_and_port(text: str, written: str) -> None:
    assert str(Origin.parse(text)) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host:1",
        "https://host",
        "http://",
        "http://u:p@host",
        "http://u@host:1",
        "http://host/api",
        "http://host?",
        "http://host/#",
        "http://host:99999",
        "http://[::1",
    ],
)
def test_what_is_more_or_less_than_an_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected http://host"):
        Origin.parse(text)


@pytest.mark.parametrize(
    ("listening", "reached"),
    [
        ("0.0.0.0:1", "http://127.0.0.1:1"),
        ("[::]:1", "http://[::1]:1"),
        ("192.0.2.7:1", "http://192.0.2.7:1"),
        ("name:1", "http://name:1"),
    ],
)
def test_what_listens_everywhere_is_reached_on_loopback(listening: str, reached: str) -> None:
    assert str(Address.parse(listening).reachable) == reached
