"""A file of conversations, our own or an older one of the page's -> rows; or what is wrong with it, and nothing of it.

bytes ─▶ read ─▶ (older ─▶ as_now) ─▶ Part by Part ─▶ ImportedConversation: rows for the tables
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway.store.ids import CONVERSATION, MESSAGE, adopted, is_conversation_id, is_message_id
from gateway.store.limits import MOST_MESSAGES, MOST_SYSTEM, MOST_TITLE
from gateway.store.rows import size_of
from services.wire.bodies import Images, MessageBody, ModelName, Options, SignatureBody, Think
from services.wire.events import Code
from services.wire.request import BadBody
from services.wire.validation import Part, read, validated

VERSION: Final = 1
OLDER: Final = "sluice-chats"
"""What the page wrote before a gateway could keep anything."""
_LATEST_MS: Final = 10**14
"""The year 5138."""

Id = Annotated[str, Field(min_length=1, max_length=64)]
Time = Annotated[int, Field(ge=0, le=_LATEST_MS)]
_SHORT: Final = Field(max_length=1_000, fail_fast=True)
Objects = Annotated[list[dict[str, Any]], _SHORT]


class _ClientsCall(Part):
    """A call that its client had to run, as `tool_call` tells it."""

    call_id: str
    name: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any]
    extra: SignatureBody | None = None


class _Turn(MessageBody):
    """What an answer adds to a history: nothing that a person, or whoever instructs the model, would have said."""

    role: Literal["assistant", "tool"]


class _Error(Part):
    code: Annotated[Code, Field(strict=False)]


class _Message(Part):
    id: Id
    parent: Id | None = None
    role: Literal["user", "assistant"]
    content: str
    status: Literal["sent", "stopped", "interrupted", "failed"] = "sent"
    thinking: str = ""
    images: Images | None = None
    tools: Objects | None = None
    tool_calls: Annotated[list[_ClientsCall], _SHORT] | None = None
    turns: Annotated[list[_Turn], _SHORT] | None = None
    model: ModelName | None = None
    finish_reason: Annotated[str, Field(max_length=64)] | None = None
    error: _Error | None = None
    usage: dict[str, Any] | None = None
    timing: dict[str, Any] | None = None
    served_by: dict[str, Any] | None = None
    created_at: Time


class _Conversation(Part):
    id: Id
    title: Annotated[str, Field(max_length=MOST_TITLE)] = ""
    named: bool = False
    model: ModelName | None = None
    system: Annotated[str, Field(max_length=MOST_SYSTEM)] | None = None
    think: Think | None = None
    options: Options | None = None
    current: str | None = None
    created_at: Time
    updated_at: Time
    messages: Annotated[list[_Message], Field(max_length=MOST_MESSAGES, fail_fast=True)]


@dataclass(frozen=True, slots=True)
class ImportedConversation:
    """What a file has of one: its row but for ``current``, and those of messages; a parent may be in no file."""

    row: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]]
    current: str | None

    @property
    def parents_elsewhere(self) -> set[str]:
        """Which messages are spoken of and are not in the file."""
        here = {message["id"] for message in self.messages}
        return {message["parent"] for message in self.messages if message["parent"]} - here


def imported(raw: bytes, owner: str) -> list[ImportedConversation]:
    """Return what a file brings to ``owner``.

    Raises:
        BadBody: with the first thing that is wrong.
    """
    file = read(raw)
    given = _chats(file) if file.get("format") == OLDER else file.get("conversations")
    version = file.get("version" if file.get("format") == OLDER else "sluice_export")
    if version != VERSION:
        raise BadBody(f"this is no export of version {VERSION}")
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise BadBody("conversations must be a list of objects")
    found = []
    for place, one in enumerate(given, 1):
        try:
            found.append(_imported(validated(_Conversation, one, extra="ignore"), owner))
        except BadBody as bad:
            raise BadBody(f"conversation {place}: {bad.message}") from None
    _demand_different([one.row["id"] for one in found])
    _demand_different([message["id"] for one in found for message in one.messages])
    return found


def _imported(given: _Conversation, owner: str) -> ImportedConversation:
    name = given.id if is_conversation_id(given.id) else adopted(CONVERSATION, owner, given.id)
    row = {
        "id": name,
        "owner": owner,
        "title": given.title,
        "named": given.named,
        "model": given.model,
        "system": given.system,
        "think": given.think,
        "options": None if given.options is None else given.options.model_dump(exclude_unset=True),
        "version": 1,
        "created_at": given.created_at,
        "updated_at": given.updated_at,
    }
    messages = [_row(message, name, owner) for message in given.messages]
    _refuse_circles(messages)
    return ImportedConversation(row, messages, given.current and _adopted(given.current, owner))


def _row(given: _Message, conversation: str, owner: str) -> Mapping[str, Any]:
    if given.role == "user" and (given.turns or given.tool_calls):
        raise BadBody("turns and tool_calls are an assistant's")
    tool_calls = _written(given.tool_calls)
    return {
        "id": _adopted(given.id, owner),
        "conversation": conversation,
        "owner": owner,
        "parent": given.parent and _adopted(given.parent, owner),
        "role": given.role,
        "content": given.content,
        "thinking": given.thinking,
        "status": given.status,
        "images": given.images,
        "tools": given.tools,
        "tool_calls": tool_calls,
        "turns": _written(given.turns),
        "code": given.finish_reason if given.error is None else given.error.code,
        "model": given.model,
        "usage": given.usage,
        "timing": given.timing,
        "served_by": given.served_by,
        "bytes": size_of(given.content, given.thinking, given.images, given.tools, tool_calls),
        "created_at": given.created_at,
    }


def _written(parts: Sequence[Part] | None) -> list[Mapping[str, Any]] | None:
    """Return parts as the file has them, without what we do not know."""
    return None if parts is None else [part.model_dump(exclude_unset=True) for part in parts]


def _adopted(name: str, owner: str) -> str:
    return name if is_message_id(name) else adopted(MESSAGE, owner, name)


def _refuse_circles(messages: Sequence[Mapping[str, Any]]) -> None:
    """A path that leads to itself would have no beginning."""
    parents = {message["id"]: message["parent"] for message in messages}
    ending: set[str] = set()
    for name in parents:
        way: dict[str, None] = {}
        at: str | None = name
        while at is not None and at in parents and at not in ending:
            if at in way:
                raise BadBody("its messages go round in a circle")
            way[at] = None
            at = parents[at]
        ending.update(way)


def _demand_different(names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise BadBody("an id is there twice")


def _chats(file: Mapping[str, Any]) -> Any:
    """Return the chats of an older file of the page's as conversations; what is not as it should be is left so."""
    chats = file.get("chats")
    return [_chat(chat) if isinstance(chat, dict) else chat for chat in chats] if isinstance(chats, list) else chats


def _chat(chat: Mapping[str, Any]) -> Any:
    given, messages = chat.get("conversation"), chat.get("messages")
    if not isinstance(given, dict) or not isinstance(messages, list):
        return {}
    parameters = given.get("parameters")
    options = dict(parameters) if isinstance(parameters, dict) else {}
    return {
        "id": given.get("id"),
        "title": given.get("title"),
        "named": given.get("named"),
        "model": given.get("model") or None,
        "system": options.pop("system", None) or None,
        "think": options.pop("think", None),
        "options": options or None,
        "current": given.get("leaf"),
        "created_at": given.get("at"),
        "updated_at": given.get("updated"),
        "messages": list(_said(messages)),
    }


def _said(messages: Sequence[Any]) -> Iterator[Any]:
    for one in messages:
        if not isinstance(one, dict):
            yield one
            continue
        pictures = one.get("pictures") or []
        tools = one.get("tools") or []
        yield {
            **{name: one.get(name) for name in ("id", "parent", "role", "thinking")},
            "content": one.get("text"),
            "status": one.get("status") if one.get("status") in {"sent", "stopped", "failed"} else "interrupted",
            "created_at": one.get("at"),
            "model": one.get("model") or None,
            "finish_reason": one.get("finish"),
            "images": [picture.get("data") for picture in pictures if isinstance(picture, dict)] or None,
            "tools": [_tool(tool) for tool in tools if isinstance(tool, dict)] or None,
            **({"status": "sent"} if one.get("role") == "user" else {}),
        }


def _tool(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    came = {"ok": tool.get("ok"), "content": tool["result"], "duration_ms": tool.get("ms")} if "result" in tool else {}
    return {"call_id": tool.get("id"), "name": tool.get("name"), "arguments": tool.get("args"), **came}
