"""What each table of the file may hold, with its types and limits, and the words for what it may not. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails

from proxy.config.config import Kind
from proxy.config.server_url import ServerUrl
from services.wire.model_names import MAX_MODEL_CHARACTERS

LABEL: Final = r"^[a-z0-9-]{1,32}$"
_LABEL_WORDS: Final = "expected 1 to 32 of a-z, 0-9 and -"
_MOST: Final = 10**12


def _url(text: str) -> str:
    ServerUrl.parse(text)
    return text


def _proxy(text: str) -> str:
    if text:
        url = ServerUrl.parse(text)
        if url.scheme != "http" or url.path:
            raise ValueError('expected http://host:port, or "" for none')
    return text


Label = Annotated[str, Field(pattern=LABEL)]
_Model = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARACTERS)]
_Seconds = Annotated[float, Field(gt=0, le=86_400, strict=False)]
_SecondsOrNone = Annotated[float, Field(ge=0, le=86_400, strict=False)]
_Count = Annotated[int, Field(ge=1, le=_MOST)]


class Table(BaseModel):
    """A table of the file: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True, allow_inf_nan=False)


class Settings(Table):
    """What ``[defaults]`` may give to all servers, and each may say for itself."""

    permits: Annotated[int, Field(ge=1, le=1024)] | None = None
    local: bool | None = None
    connect_timeout_s: _Seconds | None = None
    first_token_timeout_s: _Seconds | None = None
    queue_wait_s: _SecondsOrNone | None = None
    skip_when_cold: bool | None = None
    keep_warm_s: _SecondsOrNone | None = None
    memory_gb: Annotated[float, Field(gt=0, le=100_000, strict=False)] | None = None
    cure: Literal["", "unload"] | None = None
    exclusive: bool | None = None
    ca_file: Annotated[str, Field(min_length=1)] | None = None
    proxy: Annotated[str, AfterValidator(_proxy)] | None = None
    stream: bool | None = None
    capabilities: list[str] | None = None
    max_output_tokens: _Count | None = None
    requests_per_minute: _Count | None = None
    tokens_per_day: _Count | None = None


class ServerTable(Settings):
    """A ``[[server]]``."""

    name: Label
    kind: Kind
    url: Annotated[str, AfterValidator(_url)] | None = None
    key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    key_file: Annotated[str, Field(min_length=1)] | None = None
    models: dict[_Model, _Model] | None = None


class DefaultsTable(Settings):
    """``[defaults]``."""

    local_only: bool = False


class BreakerTable(Table):
    """``[breaker]``: for tests, which cannot wait for half a minute."""

    open_s: _Seconds = 30.0


def problem_of(error: ErrorDetails, table: Mapping[str, Any]) -> tuple[tuple[str | int, ...], str]:
    """Return where in ``table`` an error is, and what was expected; the value stays out, it may be a secret."""
    path = tuple(part for part in error["loc"] if part != "[key]")
    if error["type"] == "extra_forbidden":
        return path, f"{_dotted(path)}: unknown"
    if error["type"] == "missing":
        return path, f"{_dotted(path)}: expected"
    if error["type"] == "string_pattern_mismatch" and path[-1:] == ("name",):
        return path, f"{_dotted(path)}: {_LABEL_WORDS}"
    words = error["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    if not path:  # of a table as a whole
        return path, words
    known = tuple(part for part in path if _is_in(part, table))
    return known or path, f"{_dotted(known or path)}: {words}"


def _is_in(part: str | int, table: Mapping[str, Any]) -> bool:
    return isinstance(part, str) and (part in table or any(part in one for one in table.values() if type(one) is dict))


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))
