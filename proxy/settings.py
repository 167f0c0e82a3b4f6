"""What an operator can turn at the proxy."""

import secrets
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from services.dialects.ollama_request import ALLOWABLE
from services.runtime.settings import Address, CommaList, Origin, ProcessSettings


def _new_instance() -> str:
    """4 random characters."""
    return secrets.token_hex(2)


class ProxySettings(ProcessSettings):
    """The proxy's settings; each description says what zero means where zero is allowed."""

    PREFIX: ClassVar[str] = "SLUICE_PROXY_"

    listen: Address = Field(Address("127.0.0.1", 8080), description="host:port of the API; a private network's")
    metrics_listen: Address = Field(Address("127.0.0.1", 9001), description="host:port of /metrics")
    instance: str = Field(
        default_factory=_new_instance,
        pattern=r"^[A-Za-z0-9]{1,16}$",
        description="prefix of every stream id, unique among proxies",
    )
    ollama_url: Origin = Field(
        Origin("http", "127.0.0.1", 11434), description="the model server: http://host[:port], no credentials, no path"
    )
    config: str = Field(
        "", description="a file of model servers and of whom to ask for which model (sluice.toml); empty = one Ollama"
    )
    hosts: CommaList = Field(
        (),
        description="names in Host answered beside this machine's, where it listens on loopback; * = all",
    )
    allow_fields: CommaList = Field(
        (), description=f"dropped fields that reach the model server all the same, for everyone: {', '.join(ALLOWABLE)}"
    )
    permits: int = Field(
        1, ge=1, le=1024, description="answers at once per model; the server's OLLAMA_NUM_PARALLEL, whose default is 1"
    )
    queue_length: int = Field(
        64, ge=0, le=10_000, description="how many wait for a permit of a model; 0 = nobody waits, all are overloaded"
    )
    queue_timeout_s: float = Field(
        120.0, gt=0, description="seconds in the waiting line; then queue_timeout; who would wait longer is overloaded"
    )
    cure: Literal["", "unload"] = Field(
        "",
        description="unload = a wedged model is unloaded; only where nothing else uses that Ollama; empty = only said",
    )
    connect_timeout_s: float = Field(1.0, gt=0, description="seconds for a TCP connection to the model server")
    first_token_timeout_s: float = Field(
        300.0, gt=0, description="seconds to the first content; covers loading the model and its prefill"
    )
    idle_timeout_s: float = Field(
        45.0,
        gt=0,
        description="seconds of silence within an answer; four times that when tools or a format were asked for",
    )
    total_timeout_s: float = Field(1800.0, gt=0, description="seconds for a whole answer")
    log_bytes: int = Field(
        1 << 20, ge=1 << 16, description="bytes of one stream's log, some 80,000 tokens; the oldest go first"
    )
    logs_total_bytes: int = Field(
        256 << 20, ge=1 << 20, description="bytes of all logs; finished ones go first, then new streams are overloaded"
    )
    grace_s: float = Field(
        30.0, gt=0, description="seconds a `continue` stream goes on while nobody follows it; a page's reload and more"
    )
    keep_s: float = Field(60.0, gt=0, description="seconds a finished stream can be replayed; at least the grace")
    heartbeat_s: float = Field(10.0, gt=0, le=60, description="seconds of silence after which a heartbeat is written")
    write_timeout_s: float = Field(
        10.0, gt=0, description="seconds in which a direct client may take no byte; then it is cut"
    )
    drain_s: float = Field(
        25.0, ge=0, description="seconds that running streams get after SIGTERM; 0 = they are ended at once"
    )

    @property
    def instance_name(self) -> str:
        """What log lines call this process."""
        return self.instance

    @field_validator("allow_fields")
    @classmethod
    def _may_be_allowed(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if any(name not in ALLOWABLE for name in names):
            raise ValueError(f"expected any of {', '.join(ALLOWABLE)}, separated by commas")
        return names

    @model_validator(mode="after")
    def _keep_covers_grace(self) -> Self:
        if self.keep_s < self.grace_s:
            raise ValueError("SLUICE_PROXY_KEEP_S: expected at least SLUICE_PROXY_GRACE_S")
        return self
