from typing import Any

import pytest

from services.wire.schema import is_schema

SCHEMAS: dict[str, Any] = {
    "empty": {},
    "a type": {"type": "object"},
    "several types": {"type": ["string", "null"]},
    "properties": {"type": "object", "properties": {"a": {"type": "integer"}, "b": True}, "required": ["a"]},
    "one for all items": {"type": "array", "items": {"type": "number"}},
    "one for each item": {"items": [{"type": "number"}, False]},
    "a choice": {"anyOf": [{"type": "string"}, {"const": None}]},
    "references": {"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}},
    "a property named type": {"properties": {"type": {"type": "string"}}},
    "unknown keywords": {"x-order": [5, None], "enum": [{"type": "anything"}], "default": {"type": 5}},
}
NO_SCHEMAS: dict[str, Any] = {
    "null": None,
    "true": True,
    "a string": "json",
    "a list": [],
    "an unknown type": {"type": "objekt"},
    "a type that is null": {"type": None},
    "a type that is an object": {"type": {}},
    "an unknown type among others": {"type": ["string", "str"]},
    "properties that are a list": {"properties": []},
    "a property that is a type name": {"properties": {"a": "string"}},
    "items that are a type name": {"items": "string"},
    "a choice between type names": {"anyOf": ["string"]},
    "definitions that are null": {"$defs": None},
    "an unknown type deep inside": {"properties": {"a": {"items": {"oneOf": [{"not": {"type": "int"}}]}}}},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name: str) -> None:
    assert is_schema(SCHEMAS[name])


@pytest.mark.parametrize("name", NO_SCHEMAS)
def test_what_is_no_schema_is_none(name: str) -> None:
    assert not is_schema(NO_SCHEMAS[name])
