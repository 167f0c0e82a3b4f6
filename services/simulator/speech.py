"""What a model says to a request: reasoning, text, tool calls, in pieces of some tokens each; no clock."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from random import Random
from string import ascii_lowercase, digits
from typing import Any, Final, Literal, NamedTuple

from services.simulator.models import Model
from services.simulator.prose import endless_prose, pieces, prose
from services.simulator.validation import Ask

SELF: Final = (
    "Hello! This is Sluice's simulator speaking. There is no model here: nobody read your message, and every word of "
    "this answer was written beforehand.\n\nI keep Ollama's manners, though. The words come one by one, at the pace of "
    "a small machine, over the same HTTP that a real model server speaks; so what you see of the chain between us, the "
    "proxy, the gateway and your own screen, is real. Accents survive (naïve, ёж, 灯台), so do <tags> & marks, even "
    "a wave 🌊.\n\nTo hear a real model, start Ollama, pull one, and run the chain again: it will be found. To see me "
    "misbehave, ask for a name such as sim:fault=stall,at=20; the command python -m services.simulator --help lists "
    "what else I can do.\n"
)
STORY: Final = (
    'The keeper climbed ninety steps before dawn,\ncarrying a brass lamp and one "impossible" letter.\n\nBelow him, '
    'grey water folded over black rocks; gulls argued like old lawyers. <b>&</b> on every crate meant "handle with '
    'care", and one wore a painted 🌊; he always obeyed.\n\u2028He wrote 灯台 in his logbook: fog, 3 ships, no wind — '
    "nothing lost. Then, quietly, somebody knocked.\nIt wasn't the storm. It was his daughter's voice, ten years late, "
    "asking whether tea could still be found at sea. He laughed until both lenses shook; outside, daylight finally "
    "arrived."
)
THOUGHTS: Final = "The user wants a short answer. I compare two options & choose.\n"
THOUGHT_ANSWER: Final = "Forty-two: it's always that one."
PLAIN_ANSWER: Final = "No thinking here, just this line."
NO_TOOLS: Final = "No tools were offered; nothing to call."
AFTER_RESULT: Final = "It is 4 degrees and raining in the capital."
SHOWN: Final = "Pictures in the last message: {count}."
JSON_ANSWER: Final = {"city": "Oslo", "days": [1, 2, 3]}
_SHOWN_EXAMPLE: Final = re.compile(r"""e\.g\.,? ["']([^"']+)["']""")
CALL_TOKENS: Final = 20  # a recorded call of two arguments
THOUGHT_SEED: Final = 1_000_003  # reasoning and text of one seed are not the same words
_SAMPLES: Final[Mapping[str, Any]] = {
    "string": "Reykjavík", "integer": 3, "number": 1.5, "boolean": True, "array": [], "null": None,
}  # fmt: skip


class Piece(NamedTuple):
    """A part of the answer: text, reasoning, a call, or an empty line as a thinking model's tags leave."""

    kind: Literal["text", "thinking", "call", "empty"]
    value: Any
    tokens: int = 1


def speech(model: Model, ask: Ask) -> Iterator[Piece]:
    """Return what ``model`` says to ``ask``; the bound of num_predict is the answer's, not the speaker's."""
    calls = tool_calls(model, ask)
    said = (Piece("text", token) for token in _text(model, ask))
    return chain(_thinking(model, ask), (Piece("call", call, CALL_TOKENS) for call in calls) if calls else said)


def thinks(model: Model, ask: Ask) -> bool:
    """Return whether reasoning comes first: a model that can does, unless it is told not to."""
    return "thinking" in model.capabilities and ask.think is not False


def tool_calls(model: Model, ask: Ask) -> list[dict[str, Any]]:
    """Return the calls made instead of text: none without tools, or once the results of all rounds have come."""
    script, done = model.script, _rounds_done(ask)
    if "tools" not in model.capabilities or not ask.tools or done >= script.rounds:
        return []
    count = 1 if script.calls is None else script.calls
    tools = _named(script.tool, ask.tools) if script.tool else ask.tools
    dice = Random(script.seed * 1000 + len(ask.messages))  # noqa: S311 ids in a test's answer, no secrets
    return [_call(tools[(done * count + index) % len(tools)], index, dice) for index in range(count)]


def _named(name: str, tools: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the tool of that name, whether or not it is among those that are offered."""
    unknown = {"function": {"name": name}}
    return [next((one for one in tools if one.get("function", {}).get("name") == name), unknown)]


def _rounds_done(ask: Ask) -> int:
    """Return how many turns with calls the conversation has behind the user's last word; each must have a result."""
    rounds = 0
    for message in reversed(ask.messages):
        if message.get("role") == "user":
            break
        rounds += bool(message.get("tool_calls"))
    if ask.messages and ask.messages[-1].get("role") == "tool":
        return max(rounds, 1)  # a result without its call counts as one
    return 0


def thoughts(n: int, seed: int, size: int = 0) -> list[str]:
    """Return the reasoning of a name with ``think=n``, as :func:`prose` returns its text."""
    return prose(n, seed + THOUGHT_SEED, size)


def example(schema: Any) -> Any:
    """Return a value that a JSON schema allows, as far as type, enum, properties and items say.

    A text that its description gives as an example is taken: a real tool can do something with it.
    """
    if not isinstance(schema, dict):
        return _SAMPLES["string"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") == "string" and (shown := _SHOWN_EXAMPLE.search(str(schema.get("description", "")))):
        return shown[1]
    properties = schema.get("properties")
    if isinstance(properties, dict):
        return {name: example(part) for name, part in properties.items()}
    if schema.get("type") == "object":
        return {}
    if schema.get("type") == "array" and "items" in schema:
        return [example(schema["items"])]
    kind = schema.get("type")
    return _SAMPLES.get(kind if isinstance(kind, str) else "string", _SAMPLES["string"])


def _thinking(model: Model, ask: Ask) -> Iterator[Piece]:
    if not thinks(model, ask):
        return
    script = model.script
    scripted = islice(endless_prose(script.seed + THOUGHT_SEED, script.size), script.think)
    words = pieces(THOUGHTS) if script.think is None else scripted
    tags = [Piece("empty", "")] * 2  # each tag and the line break at it: recording generate_think_true
    yield from tags
    yield from (Piece("thinking", word) for word in words)
    yield from tags


def _text(model: Model, ask: Ask) -> Iterable[str]:
    script = model.script
    if ask.format not in (None, ""):
        return pieces(json.dumps(example(ask.format) if isinstance(ask.format, dict) else JSON_ANSWER))
    if script.fault == "endless":
        return endless_prose(script.seed, script.size)
    if script.tokens is not None:
        return islice(endless_prose(script.seed, script.size), script.tokens)
    return pieces(_own_text(model, ask))


def _own_text(model: Model, ask: Ask) -> str:
    if model.base == "story":
        return STORY
    if model.base == "thinker":
        return THOUGHT_ANSWER if thinks(model, ask) else PLAIN_ANSWER
    if model.base == "tooler":
        return AFTER_RESULT if ask.messages and ask.messages[-1].get("role") == "tool" else NO_TOOLS
    if model.base == "viewer":
        return SHOWN.format(count=len(ask.messages[-1].get("images") or ()) if ask.messages else int(ask.images))
    return SELF


def _call(tool: Mapping[str, Any], index: int, dice: Random) -> dict[str, Any]:
    """Return a call; its id is another in each turn, or agents would take it for one that they have seen."""
    function = tool.get("function")
    function = function if isinstance(function, dict) else {}
    call_id = "call_" + "".join(dice.choice(ascii_lowercase + digits) for _ in range(8))
    arguments = example(function.get("parameters") or {"type": "object"})
    return {"id": call_id, "function": {"index": index, "name": function.get("name", ""), "arguments": arguments}}
