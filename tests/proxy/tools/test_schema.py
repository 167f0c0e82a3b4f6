"""Whose schema may be offered, and what is wrong with a call's arguments."""

from typing import Any

import pytest

from proxy.tools.schema import MAX_DEPTH, why_not_offered, wrong_with

TOWN: dict[str, Any] = {
    "type": "object",
    "properties": {"town": {"type": "string", "pattern": "(a+)+$"}, "days": {"type": "integer"}},
    "required": ["town"],
}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth - 1):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (TOWN, ""),
        ({}, ""),
        ({"$defs": {"t": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/t"}}}, ""),
        ({"properties": {"a": {"$ref": "https://elsewhere.example/schema"}}}, "its schema refers to another"),
        ({"anyOf": [{"$dynamicRef": "other.json"}]}, "its schema refers to another"),
        ({"type": 3}, "its schema is none"),
        ({"description": "x" * (64 << 10)}, "its schema is longer than 64 KiB"),
        ({"properties": {"a": {"maximum": 1 << 64}}}, "its schema has a number of more than 64 bits"),
        (nested(30), ""),
        (nested(MAX_DEPTH), "its schema is deeper than can be checked"),
        (nested(MAX_DEPTH + 1), f"its schema is deeper than {MAX_DEPTH}"),
        (nested(100_000), f"its schema is deeper than {MAX_DEPTH}"),
    ],
)
def test_a_tool_is_offered_only_with_a_schema_that_stands_alone(schema: dict[str, Any], why: str) -> None:
    assert why_not_offered(schema) == why


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"town": "Hvolsvöllur"}, None),
        ({"town": "x", "more": 1}, None),
        ({"town": "a" * 60 + "!"}, None),  # a pattern that would take for ever is not looked at
        ({}, "Wrong arguments: $: 'town' is a required property"),
        ({"town": 5}, "Wrong arguments: $.town: 5 is not of type 'string'"),
        ({"town": "x", "days": "two"}, "Wrong arguments: $.days: 'two' is not of type 'integer'"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(arguments: dict[str, Any], said: str | None) -> None:
    assert wrong_with(arguments, TOWN) == said


@pytest.mark.parametrize("rest", ["additionalProperties", "unevaluatedProperties"])
def test_no_expression_runs_to_find_the_properties_that_are_left(rest: str) -> None:
    """It would take for ever; the tool checks that itself."""
    schema = {"patternProperties": {"^(a+)+$": {}}, rest: False}

    assert wrong_with({"a" * 60 + "!": 1}, schema) is None


def test_a_property_that_no_schema_names_is_wrong_where_none_may_be() -> None:
    told = wrong_with({"b": 1}, {"properties": {"a": {}}, "additionalProperties": False})

    assert told == "Wrong arguments: $: Additional properties are not allowed ('b' was unexpected)"


def test_words_about_arguments_are_bounded() -> None:
    told = wrong_with({"town": ["x" * 5000]}, TOWN)

    assert told is not None
    assert len(told) == 500


def test_a_reference_that_leads_nowhere_refuses_no_arguments() -> None:
    assert wrong_with({"a": 1}, {"properties": {"a": {"$ref": "#/$defs/none"}}}) is None
