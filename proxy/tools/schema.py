"""A tool's JSON schema: whether it may be offered, and what is wrong with the arguments of a call. Pure.

A schema is whoever's wrote the tool. Nothing of it is fetched, and no regular expression of it runs here, for one can
take for ever: `pattern` is the tool's own to check.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson
from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable

MAX_SCHEMA_BYTES: Final = 64 << 10
MAX_DEPTH: Final = 128
WORDS: Final = 500
"""Most characters of what is wrong: the words quote the model's own arguments to it."""


def _unchecked(*_: object) -> Iterator[Any]:
    return iter(())


def _unless_expressions(keyword: str) -> Callable[..., Iterator[Any]]:
    """Return a keyword's check that leaves off beside `patternProperties`, whose expressions it would run."""
    check = Draft202012Validator.VALIDATORS[keyword]

    def checked(validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]) -> Iterator[Any]:
        return iter(()) if "patternProperties" in schema else check(validator, value, instance, schema)

    return checked


_Validator: Final = extend(  # type: ignore[no-untyped-call]  # the stubs do not say what it takes
    Draft202012Validator,
    {
        "pattern": _unchecked,
        "patternProperties": _unchecked,
        "additionalProperties": _unless_expressions("additionalProperties"),
        "unevaluatedProperties": _unchecked,  # it would look for expressions in every schema that counts here
    },
)
_NOTHING_FETCHED: Final[Registry[Any]] = Registry()


def why_not_offered(schema: Mapping[str, Any]) -> str:
    """Return why a tool of this schema is not offered; "" where it is."""
    if _depth(schema) > MAX_DEPTH:
        return f"its schema is deeper than {MAX_DEPTH}"
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        return f"its schema is longer than {MAX_SCHEMA_BYTES >> 10} KiB"
    try:
        orjson.dumps(schema)  # as a model server is told it
    except TypeError:
        return "its schema has a number of more than 64 bits"
    if any(not str(ref).startswith("#") for ref in _refs(schema)):
        return "its schema refers to another"
    try:
        _Validator.check_schema(schema)
    except SchemaError:
        return "its schema is none"
    except RecursionError:
        return "its schema is deeper than can be checked"
    return ""


def wrong_with(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the arguments of a call, in words for the model; None where nothing is."""
    try:
        error = best_match(_Validator(schema, registry=_NOTHING_FETCHED).iter_errors(dict(arguments)))
    except (Unresolvable, RecursionError):
        return None  # the schema's fault: the tool may still take them
    if error is None:
        return None
    return f"Wrong arguments: {error.json_path}: {error.message}"[:WORDS]


def _depth(value: object) -> int:
    """Return how deep a JSON value is, or one more than may be: it is counted by levels, not by calls."""
    level, deep = [value], 0
    while level and deep <= MAX_DEPTH:
        deep += 1
        level = [inner for one in level for inner in _inside(one)]
    return deep


def _refs(schema: object) -> Iterator[object]:
    todo = [schema]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            yield from (one[name] for name in ("$ref", "$dynamicRef") if isinstance(one.get(name), str))
        todo.extend(_inside(one))


def _inside(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
