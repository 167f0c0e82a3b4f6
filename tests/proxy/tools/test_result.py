"""What a tool answered, as the model is told it."""

from typing import Any

import pytest
from mcp.types import AudioContent, CallToolResult, EmbeddedResource, ImageContent, TextContent, TextResourceContents

from proxy.tools.result import EMPTY, outcome_of
from proxy.tools.tool import Outcome

TEXT = TextContent(type="text", text="three metres")
MORE = TextContent(type="text", text="and rising")
BLANK = TextContent(type="text", text="")
IMAGE = ImageContent(type="image", data="AAAA", mime_type="image/png")
AUDIO = AudioContent(type="audio", data="AAAA", mime_type="audio/wav")
FILE = EmbeddedResource(type="resource", resource=TextResourceContents(uri="file:///x", text="secret"))


@pytest.mark.parametrize(
    ("content", "structured", "outcome"),
    [
        ([TEXT], None, Outcome(True, "three metres")),
        ([TEXT, MORE], {"m": 3}, Outcome(True, "three metres\nand rising")),
        ([TEXT, IMAGE], None, Outcome(True, "three metres\n[image left out]")),
        ([], {"m": 3}, Outcome(True, '{"m":3}')),
        ([], {"id": 1 << 70, "ort": "Köln"}, Outcome(True, '{"id":1180591620717411303424,"ort":"Köln"}')),
        ([IMAGE], {"m": 3}, Outcome(True, '{"m":3}')),
        ([BLANK], {"m": 3}, Outcome(True, '{"m":3}')),
        ([AUDIO, FILE], None, Outcome(False, "[audio left out]\n[resource left out]")),
        ([BLANK], None, Outcome(False, EMPTY)),
        ([], None, Outcome(False, EMPTY)),
    ],
)
def test_a_result_is_its_text_or_its_object_or_nothing(
    content: list[Any], structured: dict[str, Any] | None, outcome: Outcome
) -> None:
    assert outcome_of(CallToolResult(content=content, structured_content=structured), 1000) == outcome


def test_a_tool_that_says_it_failed_has_failed_with_its_words() -> None:
    assert outcome_of(CallToolResult(content=[TEXT], is_error=True), 1000) == Outcome(False, "three metres")
    assert outcome_of(CallToolResult(content=[], structured_content={"m": 3}, is_error=True), 1000).ok is False


def test_a_long_result_is_cut_and_says_so() -> None:
    long = CallToolResult(content=[TextContent(type="text", text="x" * 300)])
    longer = CallToolResult(content=[], structured_content={"x": "y" * 300})

    assert outcome_of(long, 256).text == "x" * 256 + "[cut: 256 of 300 bytes]"
    assert outcome_of(longer, 256).text.endswith("[cut: 256 of 308 bytes]")
