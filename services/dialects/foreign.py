"""What the languages of other makers have in common: OpenAI's, Anthropic's, the AI SDK's. Pure.

Their clients cannot come back to a stream, retry by themselves, and add fields with every release. So: unknown fields
are ignored, a refusal says whether a repeat may help, and an end that is not whole is the language's own error.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from services.dialects import seals
from services.dialects.dialect import Dialect, DialectName, WholeDialect
from services.wire import native
from services.wire.events import ApiError, Code, ToolCall
from services.wire.hop import Chat
from services.wire.request import BadBody, ChatRequest
from services.wire.validation import read

HEARTBEAT_S: Final = 15.0
"""Agents show a warning after twenty seconds of silence."""
MAY_REPEAT: Final = frozenset(
    {
        Code.RATE_LIMITED,
        Code.CONCURRENCY_LIMITED,
        Code.OVERLOADED,
        Code.QUEUE_TIMEOUT,
        Code.SHUTTING_DOWN,
        Code.REQUEST_TIMEOUT,
    }
)
"""Refusals of the moment. All others are told not to be repeated: the SDKs ask three times, and the proxy has asked the
model server three times before."""
_ID_CHARACTERS: Final = 24
_SERVER_TOOLS: Final = "server_tools"


def read_foreign(raw: bytes) -> dict[str, Any]:
    """Return the object in ``raw``, less what is null, false or empty: clients send so what is not set.

    Raises:
        BadBody: it is none, or asks for tools of the server: these languages know no call that somebody else runs.
    """
    given = {name: value for name, value in read(raw).items() if value or (value == 0 and value is not False)}
    if _SERVER_TOOLS in given:
        raise BadBody(f"{_SERVER_TOOLS} is not offered here: ask POST /api/chat/stream", param=_SERVER_TOOLS)
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a client of such a language asks, and how it wants it answered.

    Attributes:
        forced_tool: the one tool whose arguments are to be the answer: ``format`` has its parameters.
        shows_usage: whether a stream says how many tokens there were.
        on_disconnect: what its leaving means.
        chat: the page's name for the conversation, where it may come back to the newest answer of it.
        message_id: the message that goes on, if it is not a new one.
        dropped: fields that were sent and are not offered, from a closed list.
        text_format: the form of the answer as it was asked for, where the answer repeats it.
    """

    request: ChatRequest
    stream: bool
    forced_tool: str | None = None
    shows_usage: bool = True
    on_disconnect: Literal["cancel", "continue"] = "cancel"
    chat: Chat | None = None
    message_id: str = ""
    dropped: tuple[str, ...] = ()
    text_format: Mapping[str, Any] | None = None


class Told(NamedTuple):
    """What a dialect is told that is not in the request: a pure one looks at no clock.

    Attributes:
        model: the model's name as the client wrote it, and as the answer repeats it.
        created: the time, in seconds of UTC.
        request_id: the reader's own, for languages whose errors repeat it.
    """

    model: str
    created: int
    request_id: str = ""


class Language(NamedTuple):
    """One language, as its route needs it.

    Attributes:
        parse: reads a body, or raises ``BadBody``.
        whole: None where every answer is a stream.
    """

    name: DialectName
    parse: Callable[[bytes], Wanted]
    frames: Callable[[Wanted, Told], Dialect]
    whole: Callable[[Wanted, Told], WholeDialect] | None


def shown_id(prefix: str, stream_id: str, part: str = "") -> str:
    """Return an id for a client's eyes: the same whenever the stream is shown, and no key to it.

    Args:
        part: tells the ids of one answer apart.
    """
    digest = hashlib.sha256(f"{stream_id}/{prefix}{part}".encode()).hexdigest()
    return prefix + digest[:_ID_CHARACTERS]


def sealed(call: ToolCall) -> dict[str, Any]:
    """Return what a call brings along for whoever sends it back, where its provider wants something back.

    By a name that other servers of these languages have for such things; ours within it.
    """
    if call.extra is None:
        return {}
    return {"extra_content": {"sluice": seals.as_data(call.extra)}}


def refusal_head(refused: ApiError, request_id: str) -> tuple[int, dict[str, str]]:
    """Return status and headers of a failure before the stream, whatever the language of its body."""
    status, headers, _ = native.refusal(refused, request_id)
    if refused.failed.code not in MAY_REPEAT:
        headers["x-should-retry"] = "false"
    return status, headers
