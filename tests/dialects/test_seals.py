"""A provider's seals, through a client and back: two turns of a tool loop in Anthropic's language and the AI SDK's."""

import base64
import json
from typing import Any

import orjson
import pytest

from services.dialects import ai_sdk_request, anthropic_request, seals
from services.dialects.ai_sdk import AiSdkChunks
from services.dialects.anthropic import AnthropicEvents, AnthropicMessage
from services.dialects.foreign import Told, Wanted
from services.wire.events import (
    MAX_SIGNATURE_BYTES,
    Finished,
    FinishReason,
    Signature,
    Started,
    Thinking,
    Timing,
    Token,
    ToolCall,
)
from services.wire.native import Numbered
from services.wire.request import CalledTool, ChatRequest, Message
from services.wire.sse import SseDecoder
from tests.dialects.speech import nested

OF_THOUGHT = Signature("anthropic", {"signature": "opaque", "characters": 2})
OF_CALL = Signature("gemini", {"thoughtSignature": "opaque, too"})
SAID: list[Numbered] = [
    (1, Started("k3fa.4MZ6ABCDEFGHIJKLMNOPQRSTUV", "m", 0)),
    (2, Thinking("hm")),
    (3, OF_THOUGHT),
    (4, Token("So")),
    (5, ToolCall("c1", "clock", {"tz": "UTC"}, OF_CALL)),
    (6, ToolCall("c2", "clock", {})),
]
TURN = Message(
    "assistant",
    "So",
    "hm",
    tool_calls=(CalledTool("clock", {"tz": "UTC"}, "c1", extra=OF_CALL), CalledTool("clock", {}, "c2")),
    extra=(OF_THOUGHT,),
)
WANTED = Wanted(request=ChatRequest(model="m"), stream=True)
TOLD = Told("m", 0, "r-1")
END = Finished(FinishReason.TOOL_CALLS, None, 4, 4, Timing(0, None, None, None, None, 1, None), None)


def dispatched(frames: bytes) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in SseDecoder().feed(frames)]


def streamed_blocks() -> list[dict[str, Any]]:
    """Put the blocks together as Anthropic's clients do."""
    blocks: list[dict[str, Any]] = []
    for data in dispatched(AnthropicEvents(WANTED, TOLD).frames(SAID)):
        if data["type"] == "content_block_start":
            assert data["index"] == len(blocks)
            blocks.append(data["content_block"])
        elif data["type"] == "content_block_delta":
            kind, *_ = names = [name for name in data["delta"] if name != "type"]
            assert len(names) == 1
            given = data["delta"][kind]
            if kind == "partial_json":
                blocks[-1]["input"] = json.loads(given)
            else:
                blocks[-1][kind] += given
    return blocks


def whole_blocks() -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = orjson.loads(AnthropicMessage(WANTED, TOLD).whole(SAID, END)[2])["content"]
    return content


@pytest.mark.parametrize("blocks", [streamed_blocks, whole_blocks])
def test_what_a_provider_sealed_comes_back_through_anthropic_s_clients(blocks: Any) -> None:
    """9router#2193, dirge#821: a block that is opaque to them they send back as it is."""
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "assistant", "content": blocks()}]}

    assert anthropic_request.messages(json.dumps(body).encode()).request.messages == (TURN,)


def test_what_a_provider_sealed_comes_back_from_a_page_of_the_ai_sdk() -> None:
    """Their client keeps a chunk's metadata with the part that it is of."""
    parts: list[dict[str, Any]] = []
    for chunk in dispatched(AiSdkChunks().frames(SAID)):
        kept = chunk.get("providerMetadata")
        match chunk["type"]:
            case "reasoning-start" | "text-start":
                parts.append({"type": chunk["type"].removesuffix("-start"), "text": ""})
            case "reasoning-delta" | "text-delta":
                parts[-1]["text"] += chunk["delta"]
            case "reasoning-end" if kept:
                parts[-1]["providerMetadata"] = kept
            case "tool-input-available":
                call = {"toolCallId": chunk["toolCallId"], "toolName": chunk["toolName"], "input": chunk["input"]}
                done = {"state": "output-available", "output": "12"}
                parts.append({"type": "dynamic-tool", **call, **done, "callProviderMetadata": kept})
    body = {"messages": [{"role": "assistant", "parts": parts}]}

    assert ai_sdk_request.asked(json.dumps(body).encode()).request.messages[0] == TURN


def test_a_seal_without_a_thought_is_a_part_of_its_own() -> None:
    chunks = dispatched(AiSdkChunks().frames([(2, Token("So")), (3, OF_THOUGHT)]))

    assert [chunk["type"] for chunk in chunks[2:]] == ["text-end", "reasoning-start", "reasoning-end"]
    assert chunks[-1]["providerMetadata"] == {"sluice": seals.as_data(OF_THOUGHT)}


def encoded(value: object) -> str:
    return "sluice:" + base64.b64encode(orjson.dumps(value)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "of another server",
        "sluice:no base64",
        "sluice:" + base64.b64encode(b"{").decode(),
        "sluice:é",
        "sluice:" + base64.b64encode(b"\xff").decode(),
        "sluice:" + base64.b64encode(f'{{"provider":"gemini","data":{nested(300)},"call":""}}'.encode()).decode(),
        encoded([]),
        encoded({"provider": 5, "data": {}, "call": ""}),
        encoded({"provider": "no name", "data": {}, "call": ""}),
        encoded({"provider": "gemini", "data": "", "call": ""}),
        encoded({"provider": "gemini", "data": {"s": "x" * MAX_SIGNATURE_BYTES}, "call": ""}),
        encoded({"provider": "gemini", "data": {}, "call": 5}),
    ],
)
def test_what_is_no_seal_of_ours_is_left_out(text: str) -> None:
    assert seals.of_text(text) is None


@pytest.mark.parametrize("metadata", [None, 5, {"other": {}}, {"sluice": 5}])
def test_a_page_s_metadata_of_others_is_left_out(metadata: object) -> None:
    part = {"type": "reasoning", "text": "hm", "providerMetadata": metadata}
    body = {"messages": [{"role": "assistant", "parts": [part]}]}

    assert ai_sdk_request.asked(json.dumps(body).encode()).request.messages == (Message("assistant", "", "hm"),)
