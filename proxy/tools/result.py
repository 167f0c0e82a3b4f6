"""What a tool answered -> text for the model: a result is data, and has a bound. Pure."""

import json
from typing import Any, Final

from mcp.types import AudioContent, CallToolResult, ImageContent, TextContent

from proxy.tools.tool import Outcome, cut

EMPTY: Final = "The tool returned nothing that can be shown as text."


def outcome_of(result: CallToolResult, most_bytes: int) -> Outcome:
    """Return what the model is told: the text parts, else the structured content, else that there is nothing."""
    told = "\n".join(_text_of(part) for part in result.content)
    if any(isinstance(part, TextContent) and part.text for part in result.content):
        return Outcome(not result.is_error, cut(told, most_bytes))
    if result.structured_content is not None:
        return Outcome(not result.is_error, cut(_as_json(result.structured_content), most_bytes))
    return Outcome(False, cut(told, most_bytes) or EMPTY)


def _as_json(value: Any) -> str:
    """Return JSON as it came: orjson would refuse a number of more than 64 bits."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _text_of(part: object) -> str:
    match part:
        case TextContent(text=text):
            return text
        case ImageContent():
            return "[image left out]"
        case AudioContent():
            return "[audio left out]"
        case _:
            return "[resource left out]"
