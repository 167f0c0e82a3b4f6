"""The text of the configuration file -> :class:`Config`, or every problem at once, each with its line. Pure."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from proxy.config.config import ANY, Config, NamedFile, Order, ServerConfig
from proxy.config.places import Path, Places
from proxy.config.server_url import ServerUrl
from proxy.config.tables import BreakerTable, DefaultsTable, ServerTable, Settings, Table, problem_of
from proxy.config.tool_servers import ToolServerConfig
from proxy.config.tool_tables import ToolsTable, named_twice, tool_server
from proxy.providers.kinds import PROVIDERS
from services.wire.model_names import MAX_MODEL_CHARACTERS, canonical

FILE_BYTES: Final = 1 << 20
DEFAULT: Final = "default"
_WITH_PATH: Final = ("openai", "groq")
"""Whose base URL ends in its version; the others' paths are their language's own."""
CLOUD_PERMITS: Final = 32
CLOUD_CONNECT_S: Final = 5.0
CLOUD_REQUESTS_PER_MINUTE: Final = 60
_TABLES: Final = ("server", "chain", "defaults", "breaker", "tools")

T = TypeVar("T", bound=Table)


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """What the environment says, where the file says nothing."""

    permits: int
    connect_timeout_s: float
    queue_wait_s: float
    ollama_url: str = ""  # the one server, where the file has none
    cure: str = ""  # of that one


@dataclass
class BadConfig(Exception):
    """The file cannot be used; ``problems`` has one line for each reason, and quotes no value.

    Attributes:
        files: those that it names, as far as it could be read, so that all that is wrong is said at once.
    """

    problems: list[str]
    files: Sequence[NamedFile] = ()


def read_config(raw: bytes, fallbacks: Fallbacks) -> Config:
    """Return what a file says.

    Raises:
        BadConfig: with all problems.
    """
    if len(raw) > FILE_BYTES:
        raise BadConfig([f"expected at most {FILE_BYTES:,} bytes"])
    try:
        text = raw.decode()
        file = tomllib.loads(text)
    except UnicodeDecodeError:
        raise BadConfig(["expected UTF-8"]) from None
    except tomllib.TOMLDecodeError as exc:
        where = re.search(r"\(at (line \d+|end of document)", str(exc))
        raise BadConfig([f"{where[1] if where else 'somewhere'}: not TOML"]) from None
    return _Reading(file, Places(text), fallbacks).config()


class _Reading:
    """One reading of one file, and what is wrong with it so far."""

    def __init__(self, file: Mapping[str, Any], places: Places, fallbacks: Fallbacks) -> None:
        self._file = file
        self._places = places
        self._fallbacks = fallbacks
        self._problems: list[tuple[int, str]] = []
        self._files: list[NamedFile] = []
        self._spellings: dict[str, str] = {}

    def config(self) -> Config:
        for name in self._file:
            if name not in _TABLES:
                self._wrong(
                    (name,), f"{name}: unknown; there are [[server]], [chain], [defaults], [breaker] and [[tools]]"
                )
        defaults = self._table(DefaultsTable, "defaults") or DefaultsTable()
        breaker = self._table(BreakerTable, "breaker") or BreakerTable()
        servers = list(self._servers(defaults))
        default, chains = self._chain(servers)
        tools = tuple(self._tools())
        if self._problems:
            raise BadConfig([words for _, words in sorted(self._problems)], self._files)
        return Config(
            tuple(servers),
            default,
            chains,
            defaults.local_only,
            breaker.open_s,
            files=tuple(self._files),
            tools=tools,
            is_of_the_environment=not self._file.get("server"),
            spellings=self._spellings,
        )

    # --- servers

    def _servers(self, defaults: DefaultsTable) -> Iterator[ServerConfig]:
        tables = self._tables("server")
        if tables is None:
            return
        if not tables:
            tables = [self._of_the_environment()]
        names: set[str] = set()
        for number, table in enumerate(tables):
            path: Path = ("server", number)
            self._note_files(table, path)
            read = self._validated(ServerTable, table, path)
            if isinstance(name := table.get("name"), str):
                if name in names:
                    self._wrong((*path, "name"), "name: another server has it")
                names.add(name)
            if read is not None and (server := self._server(read, defaults, path)) is not None:
                yield server

    def _of_the_environment(self) -> Mapping[str, Any]:
        url, cure = self._fallbacks.ollama_url, self._fallbacks.cure
        cured = {"cure": cure, "exclusive": True} if cure else {}  # there the one setting says both
        return {"name": "ollama", "kind": "ollama", "url": url, **cured}

    def _note_files(self, table: Mapping[str, Any], path: Path) -> None:
        for name in ("key_file", "ca_file"):
            if isinstance(file := table.get(name), str) and file:
                line = self._places.line((*path, name))
                self._files.append(NamedFile(file, f"line {line}: {name}"))

    def _server(self, table: ServerTable, defaults: DefaultsTable, path: Path) -> ServerConfig | None:
        address = table.url or PROVIDERS[table.kind].public_url
        if address is None:
            self._wrong(path, f"url: expected, since a server of kind {table.kind} has no public one")
            return None
        url = ServerUrl.parse(address)
        self._check_url(table, url, path)
        merged = {
            name: mine if (mine := getattr(table, name)) is not None else getattr(defaults, name)
            for name in Settings.model_fields
        }
        if merged["cure"] and not merged["exclusive"]:
            self._wrong((*path, "cure"), "cure: needs exclusive = true: nothing else may use that Ollama")
        if table.kind != "ollama":
            self._refuse_ollamas(table, path)
        models = self._models(table, path)
        if table.kind != "ollama" and not models:
            self._wrong(path, 'models: expected, for example { "*" = "the name of a model there" }')
        return self._made(table, merged, url, models)

    def _models(self, table: ServerTable, path: Path) -> dict[str, str]:
        models: dict[str, str] = {}
        for written, theirs in (table.models or {}).items():
            if (name := self._spelled(written)) in models:
                self._wrong((*path, "models", written), f"models: {_quoted(written)}: the same model as another key")
            models[name] = theirs
        return models

    def _made(
        self, table: ServerTable, merged: Mapping[str, Any], url: ServerUrl, models: Mapping[str, str]
    ) -> ServerConfig:
        is_ollama, fallbacks = table.kind == "ollama", self._fallbacks
        usual = {
            "permits": fallbacks.permits if is_ollama else CLOUD_PERMITS,
            "local": is_ollama and url.is_private,
            "connect_timeout_s": fallbacks.connect_timeout_s if is_ollama else CLOUD_CONNECT_S,
            "queue_wait_s": fallbacks.queue_wait_s,
            "requests_per_minute": None if is_ollama else CLOUD_REQUESTS_PER_MINUTE,
        }
        said = {name: value for name, value in merged.items() if value is not None and name != "exclusive"}
        values = {**usual, **said}
        is_local, capabilities = values.pop("local"), tuple(values.pop("capabilities", ()))
        return ServerConfig(
            table.name,
            table.kind,
            url,
            key_env=table.key_env or "",
            key_file=table.key_file or "",
            models=models,
            is_local=is_local,
            capabilities=capabilities,
            **values,
        )

    def _check_url(self, table: ServerTable, url: ServerUrl, path: Path) -> None:
        if url.path and table.kind not in _WITH_PATH:
            self._wrong((*path, "url"), "url: expected no path; its language brings its own")
        if table.key_env and table.key_file:
            self._wrong((*path, "key_file"), "key_file: expected this or key_env, not both")
        keyed = table.key_env or table.key_file
        if keyed and url.scheme == "http" and not url.is_private_address:
            self._wrong((*path, "url"), "url: expected https, since a key goes there")
        if not keyed and PROVIDERS[table.kind].needs_key:
            self._wrong(path, f"key_env: expected this or key_file: a server of kind {table.kind} wants a key")
        if keyed and table.kind == "ollama":
            self._wrong(path, "key_env, key_file: an Ollama takes no key")

    def _refuse_ollamas(self, table: ServerTable, path: Path) -> None:
        for name in ("skip_when_cold", "keep_warm_s", "memory_gb", "cure", "exclusive"):
            if getattr(table, name) is not None:
                self._wrong((*path, name), f"{name}: only an Ollama has it")

    # --- the chain

    def _chain(self, servers: Sequence[ServerConfig]) -> tuple[Order, dict[str, Order]]:
        table = self._file.get("chain", {})
        if not isinstance(table, dict):
            self._wrong(("chain",), "chain: expected a [chain] table")
            return (), {}
        known = {one["name"]: one for one in self._named_tables()} or {one.name: {"kind": one.kind} for one in servers}
        chains: dict[str, Order] = {}
        for model, value in table.items():
            order, name = self._order(model, value, known), self._spelled(model)
            if name in chains and model != DEFAULT:
                self._wrong(("chain", model), f"{_quoted(model)}: the same model as another key")
            chains[DEFAULT if model == DEFAULT else name] = order
        if DEFAULT in chains:
            return chains.pop(DEFAULT), chains
        local = tuple((server.name,) for server in servers if server.is_local)
        if not local and not self._problems:
            self._wrong(("chain",), "chain: default: expected, since no server is local")
        return local, chains

    def _order(self, model: str, value: object, known: Mapping[str, Mapping[str, Any]]) -> Order:
        path: Path = ("chain", model)
        if model != DEFAULT and (not model or len(model) > MAX_MODEL_CHARACTERS):
            self._wrong(path, "chain: expected default, or the name of a model")
        if not isinstance(value, list) or not value:
            self._wrong(path, f'{_quoted(model)}: expected an order of servers, as in [["gpu1", "gpu2"], "groq"]')
            return ()
        pools = [one if isinstance(one, list) else [one] for one in value]
        names = [name for pool in pools for name in pool]
        if not all(pools) or not all(isinstance(name, str) for name in names):
            self._wrong(path, f"{_quoted(model)}: expected names of servers, and lists of such names")
            return ()
        for name in dict.fromkeys(names):
            if name not in known:
                self._wrong(path, f"{_quoted(model)}: there is no server of the name {_quoted(name)}")
            elif names.count(name) > 1:
                self._wrong(path, f"{_quoted(model)}: {name} is named twice")
        for pool in pools:
            if len({known[name].get("kind") == "ollama" for name in pool if name in known}) > 1:
                self._wrong(path, f"{_quoted(model)}: a pool holds Ollamas, or none: the others have no models to load")
        return tuple(tuple(pool) for pool in pools)

    def _spelled(self, model: str) -> str:
        """Return a model's canonical name, and remember how the file writes it."""
        if model in {ANY, DEFAULT}:
            return model
        name = canonical(model)
        self._spellings.setdefault(name, model)
        return name

    def _named_tables(self) -> Iterator[Mapping[str, Any]]:
        tables = self._file.get("server", [])
        for table in tables if isinstance(tables, list) else ():
            if isinstance(table, dict) and isinstance(table.get("name"), str):
                yield table

    # --- tools

    def _tools(self) -> Iterator[ToolServerConfig]:
        tables = self._tables("tools") or ()
        for number, key, words in named_twice(tables):
            self._wrong(("tools", number, key), words)
        for number, table in enumerate(tables):
            read = self._validated(ToolsTable, table, ("tools", number))
            if read is not None:
                yield tool_server(read)

    # --- tables

    def _tables(self, name: str) -> Sequence[Mapping[str, Any]] | None:
        tables = self._file.get(name, [])
        if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
            return tables
        self._wrong((name,), f"{name}: expected [[{name}]] tables")
        return None

    def _table(self, kind: type[T], name: str) -> T | None:
        table = self._file.get(name, {})
        if isinstance(table, dict):
            return self._validated(kind, table, (name,))
        self._wrong((name,), f"{name}: expected a [{name}] table")
        return None

    def _validated(self, kind: type[T], table: Mapping[str, Any], path: Path) -> T | None:
        try:
            return kind.model_validate(table)
        except ValidationError as exc:
            for error in exc.errors(include_input=False, include_url=False):
                where, words = problem_of(error, table)
                self._wrong((*path, *where), words)
        return None

    def _wrong(self, path: Path, words: str) -> None:
        line = self._places.line(path)
        self._problems.append((line or 0, f"line {line}: {words}" if line else words))


def _quoted(name: str) -> str:
    """Return a name of the file as it may be shown: what does not look like one could be a key in the wrong place."""
    return f'"{name}"' if name.isprintable() and len(name) <= 64 else "a name"
