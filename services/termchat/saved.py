"""A conversation as a file: JSON with a name and a version, so that no other file passes for one. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from services.termchat.conversation import KEPT, ROLES, BadValue, Conversation, Parameters, Remembered

SCHEMA: Final = "sluice-conversation"
VERSION: Final = 1
_PARAMETERS: Final = ("model", "system", "temperature", "max_tokens", "top_p", "seed")


class NotOurs(Exception):
    """A text is no saved conversation; the message says why."""


def to_text(conversation: Conversation) -> str:
    """Return the conversation as a file holds it."""
    parameters = conversation.parameters
    data = {
        "schema": SCHEMA,
        "version": VERSION,
        "parameters": {name: getattr(parameters, name) for name in _PARAMETERS},
        "messages": [_message(one) for one in conversation.messages],
    }
    return json.dumps(data, ensure_ascii=False, indent=1) + "\n"


def from_text(text: str) -> Conversation:
    """Return the conversation that a file holds, its last messages at most.

    Raises:
        NotOurs: it is not one of ours, or of another version.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise NotOurs("it is no JSON") from exc
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise NotOurs("it is no conversation that /save wrote")
    if data.get("version") != VERSION:
        raise NotOurs(f"it is of another version than {VERSION}")
    messages = data.get("messages")
    if not isinstance(messages, list):
        raise NotOurs("it has no messages")
    conversation = Conversation(_parameters(data.get("parameters")))
    conversation.messages.extend(_read_message(one) for one in messages[-KEPT:])
    questions = [one.content for one in conversation.messages if one.role == "user"]
    conversation.last_question = questions[-1] if questions else ""
    return conversation


def _message(message: Remembered) -> dict[str, str]:
    mark = {"mark": message.mark} if message.mark else {}
    return {"role": message.role, "content": message.content, **mark}


def _read_message(data: Any) -> Remembered:
    fields = [data.get(name, "") for name in ("role", "content", "mark")] if isinstance(data, dict) else []
    if not fields or not all(isinstance(one, str) for one in fields) or fields[0] not in ROLES or not fields[1]:
        raise NotOurs("a message of it has no role or no text")
    return Remembered(*fields)


def _parameters(data: Any) -> Parameters:
    parameters = Parameters()
    if not isinstance(data, Mapping):
        raise NotOurs("it has no parameters")
    for name in _PARAMETERS:
        value = data.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise NotOurs(f"its {name} is none")
        try:
            parameters.choose(name, str(value))
        except BadValue as exc:
            raise NotOurs(f"its {name} cannot be: {exc}") from exc
    return parameters
