"""docs/tools.md has every key of ``[[tools]]``, with its default."""

from pydantic_core import PydanticUndefined

from proxy.config.tool_tables import ToolsTable
from tests.documents.tables import table


def test_the_keys_of_tools_and_their_defaults_are_in_the_page() -> None:
    told = {key: default for key, default, *_ in table("docs/tools.md", "tools")}
    fields = ToolsTable.model_fields

    assert list(told) == list(fields)
    for name, field in fields.items():
        if field.default not in {PydanticUndefined, None}:
            default = str(field.default).lower().removesuffix(".0")
            assert told[name] == default, name
