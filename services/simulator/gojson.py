"""JSON bodies as Go's encoding/json takes them, and its words for those it does not take.

Keys match case-insensitively, the last duplicate wins, unknown keys and whatever follows the first value are ignored,
null changes nothing (recordings generate_case_insensitive_keys, generate_duplicate_keys, generate_trailing_garbage).
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

_MESSAGES: Final = {  # what Python's decoder calls it: what Go's does
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}
_KINDS: Final[Mapping[type, str]] = {
    str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object",
}  # fmt: skip
_TAKES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,), "bool": (bool,), "int": (int,), "map[string]interface {}": (dict,),
}  # fmt: skip
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class GoError(ValueError):
    """The body is refused, in Go's words."""


class Shape(NamedTuple):
    """A Go struct: its name in messages, and each field's Go type by its JSON name; None takes any value."""

    name: str
    fields: Mapping[str, str | None]


def decode(body: bytes) -> Any:
    """Return the first JSON value of ``body``.

    Raises:
        GoError: it holds none.
    """
    text = body.decode("utf-8", "replace")
    start = len(text) - len(text.lstrip(" \t\r\n"))
    try:
        return _DECODER.raw_decode(text, start)[0]
    except GoError:
        raise
    except json.JSONDecodeError as exc:
        raise GoError(_syntax_error(text, exc)) from None
    except RecursionError:
        raise GoError("exceeded max depth") from None
    except ValueError as exc:  # Python's own bound on the digits of a whole number
        raise GoError("invalid number") from exc


def fill(value: Any, shape: Shape, path: str = "") -> dict[str, Any]:
    """Return the fields of ``value`` that ``shape`` knows, by their right names, nulls left out.

    Raises:
        GoError: a field, or the value itself, has the wrong type.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise GoError(f"json: cannot unmarshal {_KINDS[type(value)]} into Go value of type api.{shape.name}")
    named = {key.lower(): field for key, field in value.items() if key.lower() in shape.fields and field is not None}
    for name, field in named.items():
        check(field, shape.fields[name], f"{path or shape.name}.{name}")
    return named


def check(value: Any, go_type: str | None, place: str) -> None:
    """Refuse a value that Go cannot put into a field of ``go_type`` at ``place``.

    Raises:
        GoError: naming place and type as Go does.
    """
    if go_type is None:
        return
    takes = _TAKES.get(go_type, (list,))
    if type(value) in takes or (go_type.startswith("float") and type(value) in {int, float}):
        return
    kind = f"number {value}" if isinstance(value, float) and go_type == "int" else _KINDS[type(value)]
    raise GoError(f"json: cannot unmarshal {kind} into Go struct field {place} of type {go_type}")


def replace_lone_surrogates(text: str) -> str:
    """Return ``text`` as Go reads it: half a surrogate pair becomes U+FFFD."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def _no_constant(name: str) -> Any:
    raise GoError(f"invalid character '{name[0]}' looking for beginning of value")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant, strict=True)


def _syntax_error(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text) or error.msg.startswith("Unterminated string"):
        return "unexpected EOF"
    character = text[error.pos].replace("'", "\\'")
    where = next((go for ours, go in _MESSAGES.items() if error.msg.startswith(ours)), "looking for beginning of value")
    return f"invalid character '{character}' {where}"
