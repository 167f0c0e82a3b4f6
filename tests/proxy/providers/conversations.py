"""Conversations as every provider has to take them, and the questions that they are part of."""

from typing import Any

from services.wire.events import Signature
from services.wire.request import CalledTool, Message, Sampling, Tool
from tests.wire.requests import PNG

SAMPLING = Sampling(
    temperature=1.5,
    top_k=40,
    top_p=0.9,
    min_p=0.1,
    typical_p=0.7,
    seed=1,
    stop=("\n", "END"),
    repeat_last_n=64,
    repeat_penalty=1.1,
    presence_penalty=0.2,
    frequency_penalty=0.3,
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
CLOCK = Tool("clock", "tells the time", {"type": "object", "properties": {"tz": {"type": "string"}}}, "function")
SEALS = {
    name: Signature(name, {"thoughtSignature": f"seal of {name}", "signature": f"seal of {name}", "characters": 2})
    for name in ("openai", "groq", "anthropic", "gemini")
}
LOOP = (
    Message("system", "Be brief."),
    Message("user", "What time is it, and what is this?", images=(PNG,)),
    Message(
        "assistant",
        "Let me see.",
        thinking="hm",
        tool_calls=(
            CalledTool("clock", {"tz": "UTC"}, "call_a", extra=SEALS["gemini"]),
            CalledTool("look", None, "call_b"),
        ),
        extra=(SEALS["anthropic"],),
    ),
    Message("tool", "12:00", tool_name="clock", tool_call_id="call_a"),
    Message("tool", '{"it":"a cat"}', tool_call_id="call_b"),
    Message("user", "Thanks."),
)
"""A loop of tools, sealed by one provider and by another: each may see its own seals alone."""
