"""What the configuration file says: the model servers, and for each model the order in which they are asked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from types import MappingProxyType
from typing import Final, Literal

from proxy.config.server_url import ServerUrl
from proxy.config.tool_servers import ToolServerConfig
from services.wire.model_names import canonical

Kind = Literal["ollama", "openai", "groq", "anthropic", "gemini"]
Order = tuple[tuple[str, ...], ...]
"""Names of servers: pools of equals, the first to be asked first."""

ANY: Final = "*"
"""In a server's ``models``: whatever else is asked for."""
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """One model server; times in seconds.

    Attributes:
        key_env, key_file: where its key is; never the key.
        models: what is asked, by canonical name or :data:`ANY`, to what this server calls it.
        permits: answers at once: of each model at an Ollama, of all together elsewhere.
        is_local: whether what it is asked stays with the operator.
        first_token_timeout_s: None: what the order of servers makes of it.
        memory_gb: of its graphics cards, where models are loaded; None: it is taken to hold one.
        proxy: an HTTP proxy's URL, "" for none; None: as the environment says.
    """

    name: str
    kind: Kind
    url: ServerUrl
    key_env: str = ""
    key_file: str = ""
    models: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    permits: int = 1
    is_local: bool = True
    connect_timeout_s: float = 1.0
    first_token_timeout_s: float | None = None
    queue_wait_s: float = 120.0
    skip_when_cold: bool = False
    keep_warm_s: float = 0.0
    memory_gb: float | None = None
    cure: Literal["", "unload"] = ""
    ca_file: str = ""
    proxy: str | None = None
    stream: bool = True
    capabilities: tuple[str, ...] = ()
    max_output_tokens: int | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None

    @property
    def is_ollama(self) -> bool:
        """Whether it lists its models, loads them and can be asked what is in memory."""
        return self.kind == "ollama"

    @property
    def has_key(self) -> bool:
        """Whether it is asked with a key."""
        return bool(self.key_env or self.key_file)

    def calls(self, model: str) -> str | None:
        """Return what this server calls ``model``; None where it is not to be asked for it."""
        named = self.models.get(canonical(model)) or self.models.get(ANY)
        return named or (model if self.is_ollama else None)

    def names(self, model: str) -> bool:
        """Return whether its ``models`` name ``model`` itself."""
        return canonical(model) in self.models

    def offers(self, model: str) -> bool:
        """Return whether its ``models`` name ``model``, as what is asked or as what it calls whatever is asked."""
        return self.names(model) or self.models.get(ANY) == model


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that the configuration names, and the words for where it does."""

    path: str
    where: str


@dataclass(frozen=True, slots=True)
class Config:
    """The servers and orders of one proxy.

    Attributes:
        chains: the order of a model, by canonical name.
        default: of every other model.
        local_only: whether nobody beyond the operator's machines is ever asked.
        breaker_open_s: how long a breaker stays open the first time.
        files: all that the servers need.
        spellings: how the file writes each name of a model, by canonical name.
        tools: whose tools run here.
        is_of_the_environment: whether its one server is the environment's, and has no name of its operator's.
    """

    servers: tuple[ServerConfig, ...]
    default: Order
    chains: Mapping[str, Order] = field(default_factory=dict)
    local_only: bool = False
    breaker_open_s: float = 30.0
    files: tuple[NamedFile, ...] = ()
    tools: tuple[ToolServerConfig, ...] = ()
    is_of_the_environment: bool = False
    spellings: Mapping[str, str] = field(default_factory=dict)

    def order(self, model: str) -> Order:
        """Return the order in which servers are asked for ``model``."""
        return self.chains.get(canonical(model), self.default)

    def chained(self) -> Iterator[str]:
        """Yield each server's name that an order has, once."""
        orders = (self.default, *self.chains.values())
        yield from dict.fromkeys(name for order in orders for pool in order for name in pool)

    def steps(self) -> Iterator[tuple[str, str]]:
        """Yield from which server to which a stream goes on: to its equals, and to those that come next in an order."""
        for order in (self.default, *self.chains.values()):
            for pool, behind in zip_longest(order, order[1:], fillvalue=()):
                yield from ((one, other) for one in pool for other in (*pool, *behind) if one != other)

    @property
    def asks_cloud(self) -> bool:
        """Whether an order names a server that is somebody else's, who counts what is asked there."""
        by_name = {server.name: server for server in self.servers}
        chained = [by_name[name] for name in self.chained()]
        return not self.local_only and any(not (server.is_ollama or server.is_local) for server in chained)

    @property
    def named_models(self) -> tuple[str, ...]:
        """The models that orders and servers name, as they write them, whether or not anybody lists them.

        Where nobody of the default order could list any, and they take whatever is asked, it is what they call that:
        else there would be no model to choose, and none to mean where none is named.
        """
        names = [name for server in self.servers for name in server.models if name != ANY]
        by_name = {server.name: server for server in self.servers}
        default = [by_name[name] for pool in self.default for name in pool]
        if not any(server.is_ollama for server in default):
            names += [server.models[ANY] for server in default if ANY in server.models]
        return tuple(dict.fromkeys(self.spellings.get(name, name) for name in (*self.chains, *names)))
