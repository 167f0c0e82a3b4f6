"""Whether a value is a JSON schema, by its structure: enough that a model server does not fail on it after a load.

Not a validator of schemas (a library's work, and Ollama understands only a part of the language): known type names,
and schemas wherever the language puts a schema.
"""

from collections.abc import Iterator
from typing import Any, Final

_TYPES: Final = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_MAPS_OF_SCHEMAS: Final = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
_SCHEMAS: Final = frozenset(
    {"additionalProperties", "allOf", "anyOf", "contains", "else", "if", "items", "not", "oneOf", "prefixItems", "then"}
)


def is_schema(value: object) -> bool:
    """Tell whether ``value`` is an object that reads as a JSON schema; the caller bounds its depth."""
    return isinstance(value, dict) and _knows_its_types(value) and all(map(_is_inner_schema, _schemas_in(value)))


def _is_inner_schema(value: object) -> bool:
    return isinstance(value, bool) or is_schema(value)  # "true" and "false" allow all and nothing


def _knows_its_types(schema: dict[str, Any]) -> bool:
    types = schema.get("type", [])
    return all(isinstance(name, str) and name in _TYPES for name in (types if isinstance(types, list) else [types]))


def _schemas_in(schema: dict[str, Any]) -> Iterator[object]:
    """Yield what must be a schema; None, which is none, for a map that is not a map."""
    for keyword, inner in schema.items():
        if keyword in _MAPS_OF_SCHEMAS:
            yield from inner.values() if isinstance(inner, dict) else (None,)
        elif keyword in _SCHEMAS:
            yield from inner if isinstance(inner, list) else (inner,)
