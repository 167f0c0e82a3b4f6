"""What a client may set of a conversation, read from its body."""

from typing import Annotated, Any, Final

from pydantic import Field

from gateway.store.ids import is_message_id
from gateway.store.limits import MOST_SYSTEM, MOST_TITLE
from gateway.store.words import MOST_CHARACTERS
from services.wire.bodies import ModelName, Options, Think
from services.wire.request import BadBody
from services.wire.validation import Part, read, validated

_RESET: Final = ("model", "system", "think", "options")
"""What null takes back: the request's own, or the gateway's default, holds again."""

Title = Annotated[str, Field(min_length=1, max_length=MOST_TITLE)]
System = Annotated[str, Field(max_length=MOST_SYSTEM)]


class ConversationBody(Part):
    """The settings of a conversation; what is absent is left to each request."""

    title: Title | None = None
    model: ModelName | None = None
    system: System | None = None
    think: Think | None = None
    options: Options | None = None


class ChangeBody(ConversationBody):
    """A change of some of them."""

    current: str | None = None


def new_settings(raw: bytes) -> dict[str, Any]:
    """Return the columns of a new conversation.

    Raises:
        BadBody: with the first fault.
    """
    return _columns(validated(ConversationBody, read(raw), extra="forbid"))


def changed_settings(raw: bytes) -> dict[str, Any]:
    """Return the columns that a change sets.

    Raises:
        BadBody: with the first fault, or it changes nothing.
    """
    given = read(raw)
    body = validated(ChangeBody, given, extra="forbid")
    taken_back: dict[str, Any] = {name: None for name in _RESET if name in given and given[name] is None}
    settings = {**taken_back, **_columns(body)}
    if body.current is not None:
        if not is_message_id(body.current):
            raise BadBody("current must be the id of one of its messages")
        settings["current"] = body.current
    if not settings:
        raise BadBody(f"send one of title, {', '.join(_RESET)} or current")
    return settings


def search_of(asked: str) -> str:
    """Return what is searched for.

    Raises:
        BadBody: it is too long.
    """
    if len(asked) > MOST_CHARACTERS:
        raise BadBody(f"q must have at most {MOST_CHARACTERS} characters")
    return asked


def _columns(body: ConversationBody) -> dict[str, Any]:
    given = body.model_fields_set & {"title", *_RESET}
    columns: dict[str, Any] = {name: getattr(body, name) for name in given}
    if body.options is not None:
        columns["options"] = body.options.model_dump(exclude_unset=True)
    return {**columns, "named": True} if "title" in columns else columns
