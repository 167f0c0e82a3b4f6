"""A JSON object of a stranger -> a declared model, or a refusal in our words that repeats nothing of it.

    bytes -> read() -> one JSON object -> validated() -> a model, or BadBody

Which fields there are, of which types and limits, is declared where a language is known: bodies.py and the dialects.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from services.wire import json_text
from services.wire.json_text import loads
from services.wire.request import BadBody

MAX_DEPTH: Final = 160
"""Levels of a body: what was streamed comes back as history, six levels down, and an attack does not."""
_MAX_SHOWN_NAME: Final = 64  # characters of a client's field name in a message


class Part(BaseModel):
    """An object of a body: strict types, and null is absent.

    ``EMPTY_IS_ABSENT`` names the fields of which Ollama takes the empty string for none, too.
    """

    EMPTY_IS_ABSENT: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _present(cls, given: object) -> object:
        """Leave out the nulls, and all unknown keys but the first: to name 100,000 of them would take half a second."""
        if not isinstance(given, dict):
            return given
        fields = cls.model_fields
        if not cls.EMPTY_IS_ABSENT and fields.keys() >= given.keys() and None not in given.values():
            return given  # as nearly every one of a thousand messages
        known = {name: given[name] for name in fields if given.get(name) is not None}
        for name in cls.EMPTY_IS_ABSENT:
            if known.get(name) == "":
                del known[name]
        first = next((name for name in given if name not in fields and given[name] is not None), None)
        return known if first is None else {**known, first: None}


_Item = TypeVar("_Item")
Items = Annotated[list[_Item], Field(fail_fast=True)]
"""A list that is read up to its first fault: pydantic writes each down, and eight million wrong items took 12 GB."""
_Validated = TypeVar("_Validated", bound=Part)


def read(raw: bytes) -> dict[str, Any]:
    """Return the object in ``raw``; of a key given twice the last counts, as it does at Ollama.

    Raises:
        BadBody: not JSON, not an object, or nested deeper than 160.
    """
    try:
        given = loads(raw)  # refuses more than 1,024 levels by itself
    except orjson.JSONDecodeError:
        given = None
    may_be_deep = raw.count(b"{") + raw.count(b"[") > MAX_DEPTH  # nearly every body need not be walked
    if not isinstance(given, dict) or (may_be_deep and json_text.is_deeper_than(MAX_DEPTH, given)):
        raise BadBody(f"Send one JSON object, in UTF-8, nested at most {MAX_DEPTH} levels deep")
    return given


def validated(model: type[_Validated], given: dict[str, Any], *, extra: Literal["forbid", "ignore"]) -> _Validated:
    """Return ``given`` as ``model``; unknown keys, at any depth that we declare, are refused or left out.

    Raises:
        BadBody: with the first fault, in the order of the declarations, unknown keys last.
    """
    try:
        return model.model_validate(given, extra=extra)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_input=False)[0]
    raise BadBody(_in_our_words(fault))  # outside the except: pydantic's error holds the body


# pydantic's error types in words that follow the field's name; in braces what pydantic tells about its own limit.
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def _in_our_words(fault: ErrorDetails) -> str:
    field = _path(fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"unknown field: {field}"
    words = _WORDS.get(fault["type"], fault["msg"])  # the message of a PydanticCustomError is our own
    return f"{field} {words.format_map(fault.get('ctx', {}))}"


def _path(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{_shown(step)}" for step in loc).removeprefix(".")


def _shown(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name[:_MAX_SHOWN_NAME])
