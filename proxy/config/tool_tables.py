"""What a ``[[tools]]`` of the file may hold, and what two of them may not both have. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, model_validator

from proxy.config.server_url import ServerUrl
from proxy.config.tables import Label, Table
from proxy.config.tool_servers import (
    APPROVAL_S,
    PARALLEL,
    RESULT_BYTES,
    START_TIMEOUT_S,
    TIMEOUT_S,
    ToolServerConfig,
)

TOOL_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"
MAX_RESULT_BYTES: Final = 64 << 10
_ENVIRON: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_FUNCTION: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_HEADER: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"


def _url(text: str) -> str:
    url = ServerUrl.parse(text)
    if url.scheme != "https" and not url.is_loopback:
        raise ValueError("expected https://, or http:// to this machine")
    return text


def _function(text: str) -> str:
    if _FUNCTION.fullmatch(text) is None:
        raise ValueError("expected package.module:function")
    return text


def _word(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("expected words of a command")
    return text


_Seconds = Annotated[float, Field(gt=0, le=3600, strict=False)]
_Environ = Annotated[str, Field(pattern=_ENVIRON)]


class ToolsTable(Table):
    """A ``[[tools]]``; times in seconds. :class:`ToolServerConfig` says what each means."""

    name: Label
    command: Annotated[list[Annotated[str, AfterValidator(_word)]], Field(min_length=1)] | None = None
    url: Annotated[str, AfterValidator(_url)] | None = None
    python: Annotated[str, AfterValidator(_function)] | None = None
    allow: Annotated[list[Annotated[str, Field(pattern=TOOL_NAME)]], Field(min_length=1, max_length=128)]
    confirm: bool = True
    timeout_s: _Seconds = TIMEOUT_S
    start_timeout_s: _Seconds = START_TIMEOUT_S
    approval_s: _Seconds = APPROVAL_S
    parallel: Annotated[int, Field(ge=1, le=64)] = PARALLEL
    result_bytes: Annotated[int, Field(ge=256, le=MAX_RESULT_BYTES)] = RESULT_BYTES
    env: dict[_Environ, str] | None = None
    env_from: list[_Environ] | None = None
    cwd: Annotated[str, AfterValidator(_word)] | None = None
    headers_from: dict[Annotated[str, Field(pattern=_HEADER)], _Environ] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if sum(way is not None for way in (self.command, self.url, self.python)) != 1:
            raise ValueError("expected one of command, url and python")
        if self.url is None and self.headers_from is not None:
            raise ValueError("headers_from: only a url has it")
        if self.url is not None and (self.env, self.env_from, self.cwd) != (None, None, None):
            raise ValueError("env, env_from, cwd: a url has none")
        return self


def tool_server(table: ToolsTable) -> ToolServerConfig:
    """Return what a table says."""
    said: dict[str, Any] = {
        name: value for name in ToolsTable.model_fields if (value := getattr(table, name)) is not None
    }
    for name in said.keys() & {"allow", "command", "env_from"}:
        said[name] = tuple(said[name])
    return ToolServerConfig(**said)


def named_twice(tables: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str, str]]:
    """Yield what two tables have both: the later one's number, the key, and the words for it."""
    names, allowed = set[str](), set[str]()
    for number, table in enumerate(tables):
        if isinstance(name := table.get("name"), str):
            if name in names:
                yield number, "name", "name: other tools have it"
            names.add(name)
        mine = table.get("allow")
        mine = [tool for tool in mine if isinstance(tool, str)] if isinstance(mine, list) else []
        if twice := [tool for index, tool in enumerate(mine) if tool in allowed or tool in mine[:index]]:
            shown = f" {twice[0]}" if re.match(TOOL_NAME, twice[0]) else ""
            yield number, "allow", f"allow:{shown} is allowed twice"
        allowed.update(mine)
