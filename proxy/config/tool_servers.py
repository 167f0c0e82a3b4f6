"""Where the tools are that run here, and which of them a model may call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ToolServerConfig:
    """One server of tools, reached in one of three ways; times in seconds.

    Attributes:
        command: the program that serves them over its stdin and stdout, and its arguments; no shell reads it.
        url: or where they are served over HTTP.
        python: or a function of Python, as package.module:function, that is served by a process of ours.
        allow: the tools that may be called, by name.
        confirm: whether a person must approve each call.
        timeout_s: of a call.
        start_timeout_s: until it has said which tools it has.
        approval_s: how long the person may take.
        parallel: calls in it at once.
        result_bytes: most text of a result; what is beyond is cut off, and the model is told so.
        env: what its environment has beside HOME, LOGNAME, PATH, SHELL, TERM and USER.
        env_from: names of variables of the proxy's environment that it gets as they are.
        headers_from: header to the variable of the proxy's environment that has its value.
    """

    name: str
    allow: tuple[str, ...]
    command: tuple[str, ...] = ()
    url: str = ""
    python: str = ""
    confirm: bool = True
    timeout_s: float = 30.0
    start_timeout_s: float = 30.0
    approval_s: float = 120.0
    parallel: int = 4
    result_bytes: int = 16 << 10
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    env_from: tuple[str, ...] = ()
    cwd: str | None = None
    headers_from: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
