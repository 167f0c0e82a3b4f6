"""What the JSON of a conversation says that the gateway keeps. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.termchat.branch import Branch
from services.termchat.conversation import KEPT, ROLES, Conversation, Parameters, Remembered

PLACE: Final = "/api/conversations"
LAST: Final = "last"
NEW: Final = "new"
_MARKS: Final = {"stopped": "stopped", "interrupted": "interrupted", "failed": "failed", "streaming": "still coming"}


def opened(row: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], parameters: Parameters) -> Conversation:
    """Return a kept conversation, the end of the branch that it shows.

    Args:
        row: the conversation.
        messages: its newest, oldest first.
        parameters: as they were chosen; what was not is the conversation's.
    """
    if row.get("system") and parameters.system == Parameters().system:
        parameters.system = str(row["system"])
    if row.get("model") and parameters.model is None:
        parameters.model = str(row["model"])
    path = _path(messages, row.get("current"))
    branch = Branch(str(row.get("id")), leaf=str(row.get("current") or ""))  # not always among the newest
    questions = [one for one in path if one.get("role") == "user"]
    if questions:
        branch.question, branch.above = str(questions[-1]["id"]), str(questions[-1].get("parent") or "")
        branch.text = str(questions[-1].get("content") or "")
    conversation = Conversation(parameters, branch=branch, last_question=branch.text)
    conversation.messages.extend(_remembered(one) for one in path[-KEPT:] if one.get("content"))
    return conversation


def _path(messages: Sequence[Mapping[str, Any]], leaf: object) -> list[Mapping[str, Any]]:
    known = {one.get("id"): one for one in messages if one.get("role") in ROLES}
    path: list[Mapping[str, Any]] = []
    while (one := known.pop(leaf, None)) is not None:  # once each: no circle is gone round twice
        path.insert(0, one)
        leaf = one.get("parent")
    return path


def _remembered(message: Mapping[str, Any]) -> Remembered:
    status = message.get("status")
    return Remembered(
        str(message["role"]), str(message["content"]), _MARKS.get(status, "") if isinstance(status, str) else ""
    )
