"""Which tools a conversation in Anthropic's language offers: agents keep some back, and change them on the way. Pure.

tools: [{…}, {…, defer_loading: true}]      declared; a deferred one is not shown to the model
… tool_reference {tool_name}                a result that found one: it is shown from now on
… tool_addition, tool_removal {tool}        the client's own word, in a turn of the system
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

from pydantic import Discriminator, Field, Tag

from services.wire.bodies import MAX_HOP_TOOLS
from services.wire.validation import Part

_SEARCHES: Final = "tool_search_tool_"


class ToolBody(Part):
    """A tool that the client runs."""

    name: Annotated[str, Field(min_length=1)]
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    defer_loading: bool = False

    @property
    def parameters(self) -> dict[str, Any] | None:
        """The schema by the name that it has everywhere else."""
        return self.input_schema


class ServerTool(Part):
    """One that a server of their maker's would run."""

    type: str


def _kind(tool: object) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return "custom" if kind in (None, "custom") else "other"


_AnyTool = Annotated[
    Annotated[ToolBody, Tag("custom")] | Annotated[ServerTool, Tag("other")],
    Discriminator(_kind),
]
DeclaredTools = Annotated[list[_AnyTool], Field(max_length=MAX_HOP_TOOLS, fail_fast=True)]


class _Changed(Part):
    name: str = ""
    definition: _AnyTool | None = None


class Addition(Part):
    """A tool is offered from here on: a declared one, or one that is defined here."""

    tool: _Changed


class Removal(Part):
    """A tool is not offered any more."""

    tool: _Changed


class Reference(Part):
    """A deferred tool was found by a search that the client ran."""

    tool_name: str


def offered(declared: Sequence[ToolBody | ServerTool], said: Iterable[object]) -> list[ToolBody]:
    """Return the tools that the model may call next.

    Args:
        said: the blocks of the conversation, oldest first; all but the changes of tools are passed over.
    """
    tools = [tool for tool in declared if isinstance(tool, ToolBody)]
    defined: dict[str, ToolBody] = {}  # on the way, the newest of a name last
    if any(isinstance(tool, ServerTool) and tool.type.startswith(_SEARCHES) for tool in declared):
        hidden = set[str]()  # nobody here searches for it: a tool that is kept back would never be found
    else:
        hidden = {tool.name for tool in tools if tool.defer_loading}
    for block in said:
        match block:
            case Reference(tool_name=name):
                hidden.discard(name)
            case Addition(tool=_Changed(definition=ToolBody() as tool)):
                defined.pop(tool.name, None)
                defined[tool.name] = tool
                hidden.discard(tool.name)
            case Addition(tool=changed):
                hidden.discard(changed.name)
            case Removal(tool=changed):
                hidden.add(changed.name)
    left = (tool for tool in tools if tool.name not in defined)
    return [tool for tool in (*left, *defined.values()) if tool.name not in hidden]
