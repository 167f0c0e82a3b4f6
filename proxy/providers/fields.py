"""The fields of a stranger's JSON, by the types that we read them in. Pure.

A field is told by its value, never by its presence: what is null, false or empty is absent.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from services.wire import json_text
from services.wire.events import ARGUMENTS_DEPTH

_Kind = TypeVar("_Kind")


class Malformed(Exception):
    """A field that we read has the wrong type."""


def typed(fields: Mapping[str, Any], name: str, kind: type[_Kind]) -> _Kind:
    """Return the field ``name``; what is absent is empty.

    Raises:
        Malformed: it is of another type.
    """
    value = fields.get(name)
    if not value:
        return kind()
    if not isinstance(value, kind):
        raise Malformed
    return value


def arguments_of(given: object) -> dict[str, Any]:
    """Return the arguments of a call, which servers of OpenAI's school send as JSON text.

    Raises:
        Malformed: they are no object, or nested deeper than ARGUMENTS_DEPTH.
    """
    if isinstance(given, str) and given.strip():
        try:
            given = json_text.loads(given)
        except orjson.JSONDecodeError:
            raise Malformed from None
    elif isinstance(given, str):
        given = None
    if not given:
        return {}
    if not isinstance(given, dict) or json_text.is_deeper_than(ARGUMENTS_DEPTH, given):
        raise Malformed
    return given


def count_of(counts: Mapping[str, Any], name: str) -> int | None:
    """Return a count; a wrong one is absent, never 0."""
    count = counts.get(name)
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
