"""What a real Ollama was recorded to say in a chat, in each language of other makers: all of it, and its own end.

Bugs that others have: an error line that is swallowed, or told as an answer that is whole (8, 9); text, thinking or
calls that are lost on the way (4, 22). Of services/dialects; recordings are read as behaviour/test_recordings does.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import pytest

from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.openai_client import CHAT, RESPONSES, asking
from tests.behaviour.test_recordings import RECORDINGS, Recording
from tests.chain import Chain, running_chain
from tests.reader import Answer, Client

MESSAGES: Final = "/v1/messages"
UI: Final = "/api/ui/chat"
CHATS: Final = [recorded for recorded in RECORDINGS if recorded.path == "/api/chat"]
_FINISHES: Final = {
    **dict.fromkeys(("stop", "end_turn", "completed"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "incomplete"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "tool-calls"), "tool_calls"),
}
"""What each language says of an answer that is whole, in our word."""


class Said(NamedTuple):
    """An answer, whatever its language: ``finish`` is our word, None where it ended with an error."""

    text: str
    thinking: str
    calls: list[tuple[str, Any]]
    finish: str | None


def _joined(parts: list[dict[str, Any]], name: str) -> str:
    return "".join(part.get(name) or "" for part in parts)


def _deltas(said: list[dict[str, Any]], kind: str) -> str:
    return _joined([one for one in said if one["type"] == kind], "delta")


def of_chat(said: list[dict[str, Any]]) -> Said:
    choices = [one["choices"][0] for one in said if one.get("choices")]
    deltas = [choice["delta"] for choice in choices]
    calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", ())]
    finish = None if "error" in said[-1] else choices[-1]["finish_reason"]
    told = [(call["name"], json.loads(call["arguments"])) for call in calls]
    return Said(_joined(deltas, "content"), _joined(deltas, "reasoning_content"), told, finish and _FINISHES[finish])


def of_responses(said: list[dict[str, Any]]) -> Said:
    text, thinking = (_deltas(said, f"response.{kind}.delta") for kind in ("output_text", "reasoning_summary_text"))
    items = [one["item"] for one in said if one["type"] == "response.output_item.done"]
    calls = [(item["name"], json.loads(item["arguments"])) for item in items if item["type"] == "function_call"]
    last = said[-1]["response"]
    finish = None if last["status"] == "failed" else _FINISHES[last["status"]]
    assert (said[-2]["type"] == "error") is (finish is None)
    return Said(text, thinking, calls, "tool_calls" if finish == "stop" and calls else finish)


def of_messages(said: list[dict[str, Any]]) -> Said:
    deltas = [one["delta"] for one in said if one["type"] == "content_block_delta"]
    begun = [one["content_block"] for one in said if one["type"] == "content_block_start"]
    names = [block["name"] for block in begun if block["type"] == "tool_use"]
    inputs = [json.loads(delta["partial_json"]) for delta in deltas if "partial_json" in delta]
    stop = next((one["delta"]["stop_reason"] for one in said if one["type"] == "message_delta"), None)
    assert said[-1]["type"] == ("error" if stop is None else "message_stop")
    calls = list(zip(names, inputs, strict=True))
    return Said(_joined(deltas, "text"), _joined(deltas, "thinking"), calls, stop and _FINISHES[stop])


def of_ui(said: list[dict[str, Any]]) -> Said:
    calls = [(one["toolName"], one["input"]) for one in said if one["type"] == "tool-input-available"]
    finish = None if said[-1]["type"] == "error" else _FINISHES[said[-1]["finishReason"]]
    return Said(_deltas(said, "text-delta"), _deltas(said, "reasoning-delta"), calls, finish)


READ: Final[dict[str, Callable[[list[dict[str, Any]]], Said]]] = {
    CHAT: of_chat,
    RESPONSES: of_responses,
    MESSAGES: of_messages,
    UI: of_ui,
}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(simulator={"SCRIPT": "rate=0,pace=0", "NUM_PARALLEL": "64"}) as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


def body(path: str, model: str) -> dict[str, Any]:
    """Return a request in the language of a path; what is recorded is said whatever is asked."""
    if path in {CHAT, RESPONSES}:
        return asking(path, model)
    if path == MESSAGES:
        return {"model": model, "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    return {"model": model, "messages": [{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "hi"}]}]}


def objects(answer: Answer) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in answer.events if event.data != "[DONE]"]


@pytest.mark.parametrize("path", READ)
@pytest.mark.parametrize("recorded", CHATS, ids=lambda recorded: recorded.name)
async def test_a_recorded_chat_is_told_whole_and_ends_as_it_ended(
    recorded: Recording, path: str, client: Client
) -> None:
    answer = await client.ask(path, body(path, recorded.name))
    finish = None if recorded.reason.startswith("upstream_") else recorded.reason
    if answer.status != 200:
        assert finish is None
        assert recorded.text == ""
        return

    assert READ[path](objects(answer)) == Said(recorded.text, recorded.thinking, recorded.tool_calls, finish)
    assert answer.ended_cleanly


def test_the_recorded_chats_end_in_every_way_that_one_can() -> None:
    reasons = {recorded.reason for recorded in CHATS}

    assert reasons >= {"stop", "length", "tool_calls", "upstream_error", "upstream_truncated"}
