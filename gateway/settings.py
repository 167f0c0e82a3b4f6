"""What an operator can turn at the gateway."""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, ClassVar, Final, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, field_validator, model_validator

from services.runtime.settings import Address, CommaList, Origin, ParsedText, ProcessSettings, split_at_commas
from services.wire.model_names import MAX_MODEL_CHARACTERS
from services.wire.server_tools import is_tool_name

VALKEY_SCHEMES: Final = ("valkey", "valkeys", "redis", "rediss")
_SEVERAL: Final = re.compile(r"(?:([A-Za-z0-9]{1,16})=)?([^=]*)")


@dataclass(frozen=True)
class ProxyAddress(ParsedText):
    """Where a proxy is reached, and what it is called in the ids of its streams; "" where it is the only one."""

    name: str
    origin: Origin

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "url", or "name=url"."""
        match = _SEVERAL.fullmatch(text)
        if match is None:
            raise ValueError(
                "expected http://host[:port], or name=http://host[:port]: a name is 1 to 16 letters and digits"
            )
        return cls(match[1] or "", Origin.parse(match[2]))

    def __str__(self) -> str:
        return f"{self.name}={self.origin}" if self.name else str(self.origin)


@dataclass(frozen=True)
class ModelAlias(ParsedText):
    """Another name of a model; one that ends in ``*`` stands for all that begin so."""

    name: str
    model: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "name=model"."""
        name, _, model = (word.strip() for word in text.partition("="))
        too_long = max(len(name), len(model)) > MAX_MODEL_CHARACTERS
        if not name or not model or "*" in name[:-1] or too_long:
            raise ValueError("expected name=model pairs with commas between; a name may end in *")
        return cls(name, model)

    def __str__(self) -> str:
        return f"{self.name}={self.model}"


ANY_TOOL: Final = "*"


def _tool_name(name: str) -> str:
    if name != ANY_TOOL and not is_tool_name(name):
        raise ValueError("expected names of tools with commas between, or *")
    return name


ToolName = Annotated[str, AfterValidator(_tool_name)]


class GatewaySettings(ProcessSettings):
    """The gateway's settings; each description says what zero means where zero is allowed."""

    PREFIX: ClassVar[str] = "SLUICE_GATEWAY_"

    listen: Address = Field(Address("127.0.0.1", 3001), description="host:port of the API")
    metrics_listen: Address = Field(Address("127.0.0.1", 9002), description="host:port of /metrics")
    proxy_url: Annotated[tuple[ProxyAddress, ...], BeforeValidator(split_at_commas)] = Field(
        (ProxyAddress("", Origin("http", "127.0.0.1", 8080)),),
        description="the proxy: http://host[:port]; several: name=url,… by their SLUICE_PROXY_INSTANCE",
    )
    hosts: CommaList = Field(
        (), description="names in Host answered beside this machine's; * only where something in front checks"
    )
    max_output_tokens: int = Field(8192, ge=1, le=1_000_000, description="cap and default of num_predict, in tokens")
    cors_origins: CommaList = Field(
        ("http://localhost:3000", "http://127.0.0.1:3000"), description="exact origins of pages that may ask"
    )
    keys_file: str = Field("", description="path of the keys; empty = whoever reaches the gateway may use it")
    pepper_file: str = Field("", description="path of at least 32 random bytes, under which the keys are hashed")
    time_zone: str = Field("UTC", description="whose days are counted where keys have tokens a day: Europe/Berlin")
    valkey_url: SecretStr = Field(
        SecretStr(""),
        description="where gateways share their limits: valkey://[user:password@]host:port/db, valkeys:// with TLS; "
        "?prefix=name: is that of its keys; empty = each counts for itself",
    )
    database: SecretStr = Field(
        SecretStr(""),
        description="where conversations are kept: sqlite:///path, or postgresql://user:password@host/name; "
        "empty = nowhere, and a page keeps its own",
    )
    database_open: bool = Field(
        False,
        description="yes = without keys and beyond loopback, too, where all who reach the gateway see each other's",
    )
    keep_days: int = Field(
        0, ge=0, le=36_500, description="days after its last message that a conversation is kept; 0 = until deleted"
    )
    history_chars: int = Field(
        32_000,
        ge=0,
        le=10_000_000,
        description="characters of a kept conversation, the newest, that go to the model with a message; 0 = none",
    )
    key_metrics: bool = Field(
        False, description="true = llm_key_tokens_total counts by the ids of the first 200 keys; false = in one sum"
    )
    trusted_edges: Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(split_at_commas)] = Field(
        (), description="addresses or networks of edges whose X-Forwarded-For is believed"
    )
    streams_per_address: int = Field(
        16,
        ge=0,
        le=100_000,
        description="without keys, answers at once for one address that is not this machine's; 0 = any",
    )
    tools: Annotated[tuple[ToolName, ...], BeforeValidator(split_at_commas)] = Field(
        (), description="the proxy's tools that a chat may ask for, by name, or *; empty = none"
    )
    default_model: str = Field(
        "",
        max_length=MAX_MODEL_CHARACTERS,
        description="for a request that names none; empty = the first listed that can chat",
    )
    model_aliases: Annotated[tuple[ModelAlias, ...], BeforeValidator(split_at_commas)] = Field(
        (),
        description="other names of models under /v1/ and /api/ui/, as gpt-4o=llama3.2,claude-*=qwen3",
    )
    body_bytes: int = Field(
        8 << 20, ge=1024, le=32 << 20, description="bytes of a request body; a photograph from a phone fits"
    )
    dialect_body_bytes: int = Field(
        16 << 20,
        ge=1024,
        le=30 << 20,
        description="the same under /v1/ and /api/ui/: agents send all of a conversation, with its pictures",
    )
    body_timeout_s: float = Field(
        10.0, gt=0, description="seconds that a body may take, and one more for each 64 KiB that came"
    )
    write_timeout_s: float = Field(10.0, gt=0, description="seconds in which a client may take no byte; then it is cut")
    max_streams: int = Field(
        500,
        ge=1,
        le=100_000,
        description="connections with a stream; more are overloaded; lowered at start to what open files allow",
    )
    heartbeat_s: float = Field(10.0, gt=0, le=60, description="seconds of silence after which a heartbeat is written")
    drain_s: float = Field(
        25.0, ge=0, description="seconds that running connections get after SIGTERM; 0 = they are handed over at once"
    )

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("expected a time zone of this machine's list, for example Europe/Berlin or UTC") from None
        return name

    @field_validator("proxy_url")
    @classmethod
    def _are_told_apart(cls, proxies: tuple[ProxyAddress, ...]) -> tuple[ProxyAddress, ...]:
        names = [proxy.name for proxy in proxies]
        if not names or len(set(names)) < len(names) or (len(names) > 1 and "" in names):
            raise ValueError("expected one url, or several as name=url, each name once")
        return proxies

    @field_validator("valkey_url")
    @classmethod
    def _is_a_valkey(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if url.get_secret_value() and (parts.scheme not in VALKEY_SCHEMES or not parts.hostname):
            raise ValueError("expected valkey://, valkeys://, redis:// or rediss://, and a host")
        return url

    @field_validator("database")
    @classmethod
    def _is_a_database(cls, url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        is_file = parts.scheme == "sqlite" and not parts.netloc and len(parts.path) > 1 and ":memory:" not in parts.path
        is_server = parts.scheme == "postgresql" and len(parts.path) > 1
        if url.get_secret_value() and not is_file and not is_server:
            raise ValueError("expected sqlite:///path (sqlite:////path from the root) or postgresql://…/name")
        return url

    @model_validator(mode="after")
    def _strangers_share_no_conversations(self) -> Self:
        is_open = not self.keys_file and not self.listen.is_loopback
        if self.database.get_secret_value() and is_open and not self.database_open:
            raise ValueError(
                "SLUICE_GATEWAY_DATABASE: without keys all who reach this gateway would see each other's "
                "conversations; set SLUICE_GATEWAY_KEYS_FILE, or SLUICE_GATEWAY_DATABASE_OPEN=yes if they may"
            )
        return self

    @model_validator(mode="after")
    def _keys_have_their_pepper(self) -> Self:
        if bool(self.keys_file) != bool(self.pepper_file):
            raise ValueError("SLUICE_GATEWAY_KEYS_FILE, SLUICE_GATEWAY_PEPPER_FILE: set both or neither")
        return self
