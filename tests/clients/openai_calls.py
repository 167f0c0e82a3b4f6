"""Makes the calls that come as JSON on stdin by OpenAI's own client, and prints what it made of them.

    python openai_calls.py <base url> < [{"how": "whole|stream|helper|leave", "api": "chat|responses", "arguments": …}]
    -> [{"text", "thinking", "calls": [{"id", "name", "arguments"}], "finish", "usage", "pieces", "error": …}, …]

Run by an environment that has the client (tests/client_environment.py), so it imports nothing of ours.
"""

import json
import os
import sys
from typing import Any

import openai
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
KEY = os.environ.get("API_KEY", "of nobody")
LEAVES_AFTER = 4
BEYOND_THE_TYPES = {"keepalive"}


def made(client: Any, call: dict[str, Any]) -> dict[str, Any]:
    outcome: dict[str, Any] = {"text": "", "thinking": "", "calls": [], "finish": None, "usage": None, "pieces": 0}
    outcome["error"] = None
    try:
        {"chat": _chat, "responses": _responses}[call["api"]](client, call["how"], call["arguments"], outcome)
    except (openai.OpenAIError, ValueError) as exc:
        outcome["error"] = _told(exc)
    return outcome


def _chat(client: Any, how: str, arguments: dict[str, Any], outcome: dict[str, Any]) -> None:
    chats = client.chat.completions
    if how == "whole":
        _take_completion(_valid(ChatCompletion, chats.create(**arguments)), outcome)
    elif how == "helper":
        with chats.stream(**arguments) as stream:
            for _ in stream:
                outcome["pieces"] += 1
            _take_completion(stream.get_final_completion(), outcome)
    else:
        with chats.create(**arguments, stream=True) as stream:
            for chunk in stream:
                _take_chunk(_valid(ChatCompletionChunk, chunk), outcome)
                if how == "leave" and outcome["pieces"] == LEAVES_AFTER:
                    return


def _take_completion(completion: Any, outcome: dict[str, Any]) -> None:
    (choice,) = completion.choices
    outcome["text"] = choice.message.content or ""
    outcome["thinking"] = getattr(choice.message, "reasoning_content", None) or ""
    outcome["finish"] = choice.finish_reason
    for call in choice.message.tool_calls or ():
        outcome["calls"].append({"id": call.id, "name": call.function.name, "arguments": call.function.arguments})
    outcome["usage"] = completion.usage and [completion.usage.prompt_tokens, completion.usage.completion_tokens]


def _take_chunk(chunk: Any, outcome: dict[str, Any]) -> None:
    outcome["pieces"] += 1
    if chunk.usage is not None:
        outcome["usage"] = [chunk.usage.prompt_tokens, chunk.usage.completion_tokens]
    for choice in chunk.choices:
        outcome["finish"] = choice.finish_reason or outcome["finish"]
        outcome["text"] += choice.delta.content or ""
        outcome["thinking"] += getattr(choice.delta, "reasoning_content", None) or ""
        for call in choice.delta.tool_calls or ():
            assert call.index == len(outcome["calls"])
            outcome["calls"].append({"id": call.id, "name": call.function.name, "arguments": call.function.arguments})


def _responses(client: Any, how: str, arguments: dict[str, Any], outcome: dict[str, Any]) -> None:
    if how == "whole":
        _take_response(_valid(Response, client.responses.create(**arguments)), outcome)
    elif how == "helper":
        with client.responses.stream(**arguments) as stream:
            for _ in stream:
                outcome["pieces"] += 1
            _take_response(stream.get_final_response(), outcome)
    else:
        with client.responses.create(**arguments, stream=True) as stream:
            for event in stream:
                outcome["pieces"] += 1
                if event.type not in BEYOND_THE_TYPES:
                    EVENT.validate_python(event.model_dump(exclude_unset=True, by_alias=True, warnings=False))
                if how == "leave" and outcome["pieces"] == LEAVES_AFTER:
                    return
                if event.type in {"response.completed", "response.incomplete", "response.failed"}:
                    _take_response(event.response, outcome)


def _take_response(response: Any, outcome: dict[str, Any]) -> None:
    outcome["text"] = response.output_text
    outcome["finish"] = response.status
    for item in response.output:
        if item.type == "reasoning":
            outcome["thinking"] += "".join(part.text for part in item.summary)
        if item.type == "function_call":
            outcome["calls"].append({"id": item.call_id, "name": item.name, "arguments": item.arguments})
    outcome["usage"] = response.usage and [response.usage.input_tokens, response.usage.output_tokens]


def _valid(kind: type[BaseModel], answer: Any) -> Any:
    """Return an answer whose fields are all there and of their types: the client itself does not look."""
    kind.model_validate(answer.model_dump(exclude_unset=True, by_alias=True, warnings=False))
    return answer


def _told(exc: Exception) -> dict[str, Any]:
    return {
        "class": type(exc).__name__,
        "status": getattr(exc, "status_code", None),
        "code": getattr(exc, "code", None),
        "type": getattr(exc, "type", None),
        "param": getattr(exc, "param", None),
        "message": str(exc),
        "request_id": getattr(exc, "request_id", None),
    }


def main() -> None:
    """Make them all by one client; it repeats nothing but what says that it may be repeated."""
    client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key=KEY, timeout=20, max_retries=2)
    json.dump([made(client, call) for call in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
