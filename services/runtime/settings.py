"""The environment, read once at start: every problem at once, each by its variable's name.

A process declares a frozen subclass of :class:`ProcessSettings`; :func:`read_settings` fills it from a mapping and
:func:`describe` lists it for ``--help`` and for the test that holds docs/settings.md.
Refused: ``.env`` files (a second place to look), JSON in a variable, and a default that depends on the machine.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticUndefined, core_schema

from services.runtime.environment import LOG_FORMAT, LOG_LEVEL, SettingRow, unknown_names

MAX_PORT: Final = 65_535

S = TypeVar("S", bound="ProcessSettings")


class ParsedText:
    """A value written as one string: ``parse`` reads it, ``str`` gives it back; a base of pydantic fields."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the value that ``text`` means.

        Raises:
            ValueError: its message says what was expected and never quotes ``text``.
        """
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        def validated(value: Any) -> Any:
            return value if isinstance(value, cls) else cls.parse(str(value))

        return core_schema.no_info_plain_validator_function(validated)


def _host_and_port(text: str, expected: str) -> tuple[str, int]:
    """Split "host:port"; an IPv6 host stands in brackets, as in a URL."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/@?#]+)):([0-9]{1,5})", text)
    if match is None or int(match[3]) > MAX_PORT:
        raise ValueError(expected)
    return match[1] or match[2], int(match[3])


@dataclass(frozen=True)
class Address(ParsedText):
    """Where a socket listens: "host:port", an IPv6 host in brackets; port 0 means any free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "host:port"."""
        return cls(*_host_and_port(text, "expected host:port, for example 127.0.0.1:8080 or [::1]:8080"))

    @property
    def reachable(self) -> "Origin":
        """Where what listens here is reached from this machine: on loopback, if it listens everywhere."""
        try:
            ip = ipaddress.ip_address(self.host)
        except ValueError:  # a name
            return Origin("http", self.host, self.port)
        everywhere = {4: "127.0.0.1", 6: "::1"}[ip.version]
        return Origin("http", everywhere if ip.is_unspecified else self.host, self.port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach what listens here."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name
            return self.host == "localhost"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Origin(ParsedText):
    """Where a server is reached: "http://host[:port]", nothing else, so that no secret hides in it.

    Of ours all speak http; https is other people's.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "http://host[:port]"; one trailing slash is forgiven."""
        expected = "expected http://host[:port] without credentials, path or query"
        match = re.fullmatch(r"http://([^/?#@]+)/?", text)
        if match is None:
            raise ValueError(expected)
        place = match[1] if re.search(r":[0-9]+$", match[1]) else f"{match[1]}:80"
        return cls("http", *_host_and_port(place, expected))

    def __str__(self) -> str:
        return f"{self.scheme}://{Address(self.host, self.port)}"


def split_at_commas(value: Any) -> Any:
    """Return the words of a string that commas separate; anything else as it is."""
    return tuple(part for part in map(str.strip, value.split(",")) if part) if isinstance(value, str) else value


CommaList = Annotated[tuple[str, ...], BeforeValidator(split_at_commas)]
"""Words separated by commas; the empty string is the empty list."""


class ProcessSettings(BaseModel):
    """What every process of ours can be told; subclasses set ``PREFIX`` and add fields.

    A field ``queue_timeout_s`` is read from ``PREFIX + "QUEUE_TIMEOUT_S"``; its description says its unit, why this
    default, and what zero means. Called directly it reads nothing: ``ProxySettings(permits=8)``.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        validate_default=True,
        allow_inf_nan=False,  # no time-out may be for ever by accident
    )
    PREFIX: ClassVar[str]

    listen: Address
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        validation_alias=LOG_LEVEL,
        description="least level of a log line: debug, info, warning, error",
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        validation_alias=LOG_FORMAT,
        description="json, console, or auto: console on a terminal",
    )

    @property
    def instance_name(self) -> str:
        """What log lines call this process; a subclass whose process has a name of its own says that."""
        return f"{socket.gethostname()}-{os.getpid()}"


class SettingsError(Exception):
    """The settings cannot be used; ``problems`` holds one line for each reason, without any value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read_settings(cls: type[S], environ: Mapping[str, str]) -> S:
    """Return the settings that ``environ`` holds.

    Raises:
        SettingsError: with all problems, unknown ``SLUICE_*`` names included.
    """
    problems = _unknown_names(cls, environ)
    try:
        settings = cls.model_validate(_values(cls, environ))
    except ValidationError as exc:
        raise SettingsError(problems + [_problem(cls, error) for error in exc.errors()]) from None
    if problems:
        raise SettingsError(problems)
    return settings


def describe(cls: type[ProcessSettings]) -> list[SettingRow]:
    """Return every setting of ``cls``, the shared ones last."""
    fields = sorted(cls.model_fields.items(), key=lambda item: item[1].validation_alias is not None)
    return [SettingRow(variable(cls, name), _default_text(field), field.description or "") for name, field in fields]


def variable(cls: type[ProcessSettings], field_name: str) -> str:
    """Return the name of the environment variable that sets ``field_name``."""
    alias = cls.model_fields[field_name].validation_alias
    return alias if isinstance(alias, str) else cls.PREFIX + field_name.upper()


def _values(cls: type[ProcessSettings], environ: Mapping[str, str]) -> dict[str, str]:
    variables = {field: variable(cls, field) for field in cls.model_fields}
    return {field: environ[name] for field, name in variables.items() if name in environ}


def _unknown_names(cls: type[ProcessSettings], environ: Mapping[str, str]) -> list[str]:
    return unknown_names(environ, {variable(cls, name) for name in cls.model_fields}, cls.PREFIX)


def _problem(cls: type[ProcessSettings], error: ErrorDetails) -> str:
    """Return one line: the variable and what was expected. The value stays out: it may be a secret."""
    words = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if not error["loc"]:  # a rule between fields names its variables itself
        return words
    place = str(error["loc"][0])
    return f"{variable(cls, place) if place in cls.model_fields else place}: {words}"


def _default_text(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return (field.default_factory.__doc__ or "").rstrip(".")
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, tuple):
        return ",".join(map(str, field.default))
    if isinstance(field.default, float):
        return f"{field.default:g}"
    return str(field.default).lower() if isinstance(field.default, bool) else str(field.default)
