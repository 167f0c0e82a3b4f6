"""What a JSON value is made of, its words and numbers left out: two of one shape come from one writer."""

from typing import Any


def shape(value: Any) -> Any:
    """Return the names of all fields in their order, lists by their first element."""
    if isinstance(value, dict):
        return [(name, shape(field)) for name, field in value.items()]
    return [shape(value[0])] if isinstance(value, list) and value else type(value).__name__
