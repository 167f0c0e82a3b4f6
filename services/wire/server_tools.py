"""The field ``server_tools`` of a chat: what people send, and what a gateway makes of it for the hop; approvals.

true, or names          as a client writes it, to a gateway or to the proxy itself
{"names", "demanded", "attended"}   as a gateway writes it (body_writer.py): of ``true`` it sends what it allows
"""

import re
from typing import Annotated, Final

from pydantic import Field, PlainValidator
from pydantic_core import PydanticCustomError

from services.wire.events import Code, Failed
from services.wire.request import ServerTools
from services.wire.validation import Part, read, validated

MAX_NAMES: Final = 128
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What every provider takes for a tool's name."""
APPROVAL_BYTES: Final = 1024
CALL_NOT_AWAITED: Final = Failed(Code.NOT_FOUND, "No call of this id waits for an approval.")


def is_tool_name(name: object) -> bool:
    """Whether ``name`` can be that of a tool of the server."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def _asked(value: object) -> object:
    if isinstance(value, bool) or (
        isinstance(value, list) and len(value) <= MAX_NAMES and all(map(is_tool_name, value))
    ):
        return value
    raise PydanticCustomError("server_tools", f"must be true, false or a list of at most {MAX_NAMES} names of tools")


ServerToolNames = Annotated[bool | list[str], PlainValidator(_asked)]


class ApprovalBody(Part):
    """A person's word about one call."""

    approve: bool


def approval_of(raw: bytes) -> bool:
    """Return whether a call is approved, as the body says.

    Raises:
        BadBody: it says something else.
    """
    return validated(ApprovalBody, read(raw), extra="forbid").approve


class HopServerTools(Part):
    """What a gateway allows of what was asked for."""

    names: Annotated[list[str], Field(max_length=MAX_NAMES, fail_fast=True)] | None = None
    demanded: bool = False
    attended: bool = True

    def read(self) -> ServerTools:
        """Return what is to be offered."""
        return ServerTools(None if self.names is None else tuple(self.names), self.demanded, self.attended)


def server_tools(given: bool | list[str] | None, *, attended: bool) -> ServerTools | None:
    """Return which of the server's tools were asked for; None where none were: false and an empty list are "no".

    Args:
        attended: whether who asks can be asked.
    """
    if not given:
        return None
    return ServerTools(attended=attended) if given is True else ServerTools(tuple(dict.fromkeys(given)), True, attended)
