"""The keys file: TOML with one ``[[key]]`` table a key, read whole or not at all. Pure.

[[key]]
id = "a1B2c3D4"
hash = "…"                        # 64 hex digits, from `python -m gateway keys new`
name = "Ada"                      # keys of one name are one principal
models = ["llama3.2", "qwen3"]    # absent or ["*"]: every model
scopes = ["chat", "models"]       # absent: these two
not_after = 2027-01-01T00:00:00Z
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from gateway.guard.key_text import ID
from gateway.guard.scopes import Scope
from services.wire.events import ApiError, Code, Failed
from services.wire.model_names import MAX_MODEL_CHARACTERS, canonical

FILE_BYTES: Final = 1 << 20
"""Three thousand keys; more is no file of keys."""
ANY_MODEL: Final = "*"
_TABLE: Final = re.compile(r"\s*\[\[\s*key\s*\]\]\s*(#.*)?")
_MOST: Final = 10**12
"""Of any limit: a number that no day reaches."""

Limit = Annotated[int, Field(ge=1, le=_MOST)]


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("expected text without control characters")
    return name


Name = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]


class Key(BaseModel):
    """One key: whose it is, and what it allows. A limit that is None is none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    id: str = Field(pattern=rf"^{ID.pattern}$")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    name: Name
    models: tuple[Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARACTERS)], ...] = (ANY_MODEL,)
    scopes: frozenset[Scope] = frozenset({Scope.CHAT, Scope.MODELS})
    max_output_tokens: Limit | None = None
    streams: Limit | None = None
    requests_per_minute: Limit | None = None
    burst: Limit | None = None
    tokens_per_day: Limit | None = None
    not_before: AwareDatetime | None = None
    not_after: AwareDatetime | None = None

    @model_validator(mode="before")
    @classmethod
    def _lists_of_text(cls, table: Any) -> Any:
        """TOML knows lists, not tuples and sets; scopes are named by their words."""
        read: dict[str, Any] = dict(table)
        if isinstance(models := read.get("models"), list):
            read["models"] = tuple(models)
        if isinstance(scopes := read.get("scopes"), list):
            known = {str(scope) for scope in Scope}
            if not all(isinstance(scope, str) and scope in known for scope in scopes):
                raise ValueError(f"scopes: expected some of {', '.join(Scope)}")
            read["scopes"] = frozenset(map(Scope, scopes))
        return read

    @model_validator(mode="after")
    def _rules_between_fields(self) -> "Key":
        if self.burst is not None and self.requests_per_minute is None:
            raise ValueError("burst: says nothing without requests_per_minute")
        if self.not_before and self.not_after and self.not_before >= self.not_after:
            raise ValueError("not_after: expected a later time than not_before")
        return self

    def allows(self, model: str) -> bool:
        """Return whether ``model``, in any of its spellings, may be asked."""
        return ANY_MODEL in self.models or canonical(model) in map(canonical, self.models)

    def demand(self, model: str) -> None:
        """Refuse a model that this key may not ask.

        Raises:
            ApiError: 403.
        """
        if not self.allows(model):
            raise ApiError(
                Failed(Code.MODEL_NOT_ALLOWED, "This key may not ask this model. /api/models lists those it may.")
            )

    def lives(self, now: datetime) -> bool:
        """Return whether it may be used at ``now``."""
        return (self.not_before is None or self.not_before <= now) and (self.not_after is None or now < self.not_after)


Keys = Mapping[str, Key]
"""The keys of a file, by id."""


@dataclass
class BadKeysFile(Exception):
    """The file cannot be used; ``problems`` has one line for each reason, and quotes nothing of it."""

    problems: list[str]


def read_keys(raw: bytes) -> Keys:
    """Return the keys of a file.

    Raises:
        BadKeysFile: with all problems, by line.
    """
    if len(raw) > FILE_BYTES:
        raise BadKeysFile([f"expected at most {FILE_BYTES:,} bytes"])
    try:
        text = raw.decode()
        file = tomllib.loads(text)
    except UnicodeDecodeError:
        raise BadKeysFile(["expected UTF-8"]) from None
    except tomllib.TOMLDecodeError as exc:
        where = re.search(r"\(at (line \d+|end of document)", str(exc))
        raise BadKeysFile([f"{where[1] if where else 'somewhere'}: not TOML"]) from None
    tables = file.get("key", [])
    problems = [f"{name}: unknown; every table is a [[key]]" for name in file if name != "key"]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise BadKeysFile([*problems, "key: expected [[key]] tables"])
    keys: dict[str, Key] = {}
    ids: set[str] = set()
    for place, table in zip(_places(text), tables, strict=False):
        if (key_id := str(table.get("id"))) in ids:
            problems.append(f"{place}: id: another key has it")
        ids.add(key_id)
        try:
            keys[key_id] = Key.model_validate(table)
        except ValidationError as exc:
            problems += [f"{place}: {_words(error)}" for error in exc.errors(include_input=False)]
    if problems:
        raise BadKeysFile(problems)
    return MappingProxyType(keys)


def _words(error: ErrorDetails) -> str:
    if error["type"] == "timezone_aware":
        return f"{error['loc'][0]}: expected a zone, as in 2027-01-01T00:00:00Z"
    words = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    known = [str(part) for part in error["loc"] if part in Key.model_fields]
    if error["type"] == "extra_forbidden":
        return f"{error['loc'][0]}: unknown"
    return f"{known[0]}: {words}" if known else words


def _places(text: str) -> Iterator[str]:
    """Yield where each key's table stands; by its number, where tables are written in another way."""
    lines = [number for number, line in enumerate(text.split("\n"), 1) if _TABLE.fullmatch(line.rstrip("\r"))]
    yield from (f"line {number}" for number in lines)
    number = len(lines)
    while True:
        number += 1
        yield f"key {number}"
