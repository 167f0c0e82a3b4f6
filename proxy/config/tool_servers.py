"""Where the tools are that run here, and which of them a model may call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

TIMEOUT_S: Final = 30.0
START_TIMEOUT_S: Final = 30.0
APPROVAL_S: Final = 120.0
PARALLEL: Final = 4
RESULT_BYTES: Final = 16 << 10
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
    timeout_s: float = TIMEOUT_S
    start_timeout_s: float = START_TIMEOUT_S
    approval_s: float = APPROVAL_S
    parallel: int = PARALLEL
    result_bytes: int = RESULT_BYTES
    env: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    env_from: tuple[str, ...] = ()
    cwd: str | None = None
    headers_from: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
