"""Rows as they are shown: a conversation's and a message's JSON (PROTOCOL.md, "Conversations"). Pure."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.store.rows import Status
from services.wire.events import Code

_OF_CONVERSATION: Final = (
    "id", "title", "named", "model", "system", "think", "options", "current", "version", "created_at", "updated_at",
)  # fmt: skip
_OF_MESSAGE: Final = ("id", "parent", "role", "content", "status", "created_at")
_IF_THERE: Final = ("images", "thinking", "tools", "tool_calls", "model", "usage", "timing", "served_by")
_CODES: Final = frozenset(map(str, Code))


def conversation_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a conversation; a setting that it leaves to the request is null."""
    return {name: row[name] for name in _OF_CONVERSATION}


def message_of(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a message; what it has not is absent, and a stream's id is there only as long as it can be followed."""
    shown = {name: row[name] for name in _OF_MESSAGE}
    shown |= {name: row[name] for name in _IF_THERE if row[name]}
    if row["status"] == Status.STREAMING:
        shown["stream_id"] = row["stream_id"]
    elif row["code"] in _CODES:
        shown["error"] = {"code": row["code"]}
    elif row["code"]:
        shown["finish_reason"] = row["code"]
    return shown
