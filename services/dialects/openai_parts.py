"""What both of OpenAI's request bodies have, if under other names: tools, forms of an answer, effort, stops. Pure."""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, Protocol

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from services.dialects.forced_tool import forced
from services.wire import bodies
from services.wire.request import BadBody, Tool

_EFFORTS: Final[Mapping[str, bool | str]] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}


def _capped(most: int) -> int:
    """Return what the hop takes: a gateway's own cap, which comes later and is silent, is below that."""
    return min(most, bodies.MAX_INTEGER)


MaxTokens = Annotated[int, Field(ge=1), BeforeValidator(bodies.whole), AfterValidator(_capped)]


class Function(Protocol):
    """A function that is offered, in either body."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def description(self) -> str | None:
        """What it does."""

    @property
    def parameters(self) -> Mapping[str, Any] | None:
        """The JSON schema of its arguments."""


class Offered(NamedTuple):
    """What becomes of the tools: they are offered; or one is forced, and the answer has the form of its arguments."""

    tools: tuple[Tool, ...] | None = None
    format: Mapping[str, Any] | None = None
    forced_tool: str | None = None


def tools(functions: Iterable[Function | None]) -> tuple[Tool, ...]:
    """Return the functions that may be called.

    Raises:
        BadBody: there are too many.
    """
    offered = tuple(
        [Tool(one.name, one.description, one.parameters, "function") for one in functions if one is not None]
    )
    if len(offered) > bodies.MAX_HOP_TOOLS:
        raise BadBody(f"tools must have at most {bodies.MAX_HOP_TOOLS} items")
    return offered


def among(tools: Sequence[Tool], allowed: Container[str | None]) -> tuple[Tool, ...]:
    """Return the tools that a choice of some of them allows; it may allow others, which are not ours to offer."""
    return tuple([tool for tool in tools if tool.name in allowed])


def offered(tools: Sequence[Tool], name: str | None, *, where: str, none: bool) -> Offered:
    """Return what is asked of the model for these tools.

    Args:
        name: the one that must be called, ANY_TOOL for whichever, None where the model is free.
        where: the field that says so.
        none: no tool may be called.

    Raises:
        BadBody: a call among several is forced, or one of a tool that is not offered, or whose parameters no answer
            can be held to.
    """
    if name is not None:
        tool = forced(tools, name, where)
        form = tool.parameters or _ANY_OBJECT
        if not bodies.is_format(form):
            raise BadBody(f"parameters of the tool that {where} forces must be a JSON schema of at most 64 KiB")
        return Offered(format=form, forced_tool=tool.name)
    return Offered(None if none else tuple(tools) or None)


def format_of(schema: object, where: str) -> str | dict[str, Any]:
    """Return the form of an answer: any JSON where no schema is given.

    Raises:
        BadBody: the schema is too long.
    """
    if not schema:
        return "json"
    if isinstance(schema, dict) and bodies.is_format(schema):
        return schema
    raise BadBody(f"{where} must be a JSON schema of at most 64 KiB")


def think(value: object) -> bool | str:
    """Return what an effort means to a model that thinks."""
    if isinstance(value, str) and value in _EFFORTS:
        return _EFFORTS[value]
    raise PydanticCustomError("effort", f"must be one of {', '.join(_EFFORTS)}")


def stops(value: object) -> tuple[str, ...]:
    """Return the texts at which an answer stops: one or several, less empty ones."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise PydanticCustomError("stop", "must be a string or a list of strings")
    kept = tuple(text for text in texts if text)
    if len(kept) > bodies.MAX_STOPS:
        raise PydanticCustomError("stop", f"must have at most {bodies.MAX_STOPS} items")
    return kept
