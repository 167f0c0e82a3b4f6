"""A request in Anthropic's words: the body of /v1/messages. Pure.

Under the version that is named, models before 4.7 still take sampling; what a family refuses is told by its number.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from proxy.providers.adapter import Question, UpstreamRequest
from proxy.providers.history import Turn, alternating, is_conversation, turns_of
from proxy.providers.images import base64_of, image_type
from services.wire.request import ChatRequest, ModelRequest, Sampling, Tool, said

PROVIDER: Final = "anthropic"
PATH: Final = "/v1/messages"
VERSION: Final = "2023-06-01"
DEFAULT_MAX_TOKENS: Final = 4096
"""Asked for where nobody wished a length: it must be named, and every model can give as much."""
PARAMETERS: Final = frozenset({"output_config", "stop_sequences", "temperature", "thinking", "top_k", "top_p"})
"""What can be left out, and the question is still the same."""
_MODEL: Final = re.compile(r"claude-(?:[a-z]+-)?(?P<major>\d{1,2})(?:[-.](?P<minor>\d{1,2}))?(?!\d)", re.ASCII)
"""``claude-sonnet-4-5-20250929``, ``claude-3-5-haiku-latest``, ``claude-opus-4.7``: what follows a date is none."""
_NEWEST: Final = (99, 0)
_NO_SAMPLING: Final = (4, 7)
_ADAPTIVE: Final = (4, 6)
_THINKS: Final = (3, 7)
_BUDGETS: Final[Mapping[bool | str, int]] = {"low": 1024, "medium": 4096, True: 4096}
"""Tokens to think in, of a family that has to be told; a word that is not here asks for much."""
_MUCH: Final = 16_384
_LEAST_BUDGET: Final = 1024
_EFFORTS: Final = frozenset({"low", "medium", "high", "max"})


def answer_request(question: Question) -> UpstreamRequest:
    """Return what asks for an answer."""
    request = question.request
    length = request.max_output_tokens
    body: dict[str, Any] = {
        "model": question.model,
        "max_tokens": length if length is not None and length > 0 else DEFAULT_MAX_TOKENS,
        **_conversation(turns_of(request)),
    }
    if isinstance(request, ChatRequest):
        body |= _tools(request)
    thinking = _thinking(question.model, request.think, body["max_tokens"])
    if thinking.get("type") == "enabled" and _goes_on_unsealed(body["messages"]):
        thinking = {}
    if thinking:
        body["thinking"] = thinking
    if output := _output(request, is_adaptive=thinking.get("type") == "adaptive"):
        body["output_config"] = output
    body |= _sampling(request.sampling, question.model, thinks=bool(thinking))
    kept = {name: value for name, value in body.items() if name not in question.without}
    return UpstreamRequest(
        PATH,
        orjson.dumps({**kept, "stream": question.stream}),
        headers=_headers(question.key),
        dropped=_dropped(request, kept),
        streams=question.stream,
    )


def check(key: str | None) -> UpstreamRequest:
    """Return the request that proves ``key``: it lists the models."""
    return UpstreamRequest("/v1/models?limit=1000", method="GET", headers=_headers(key))


def takes(request: ModelRequest) -> bool:
    """Whether it can be asked: JSON without a schema is not offered."""
    return request.format != "json" and is_conversation(request)


def version_of(model: str) -> tuple[int, int]:
    """Return the number of a model's family; of one that cannot be told, the newest: its server will say."""
    found = _MODEL.search(model.lower())
    return (int(found["major"]), int(found["minor"] or 0)) if found else _NEWEST


def _headers(key: str | None) -> dict[str, str]:
    return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})


def _conversation(turns: list[Turn]) -> dict[str, Any]:
    """Return the system's words, and messages in which user and assistant alternate, the user first."""
    system = "\n\n".join(turn.text for turn in turns if turn.role == "system")
    messages: list[dict[str, Any]] = [
        {
            "role": "assistant" if is_assistant else "user",
            "content": [block for turn in said for block in _blocks(turn)],
        }
        for is_assistant, said in alternating(turns)
    ]
    _end_without_blanks(messages)
    return {"system": system, "messages": messages} if system else {"messages": messages}


def _end_without_blanks(messages: list[dict[str, Any]]) -> None:
    """An assistant's last words, which the model goes on from, may not end in blanks."""
    if messages and messages[-1]["role"] == "assistant" and messages[-1]["content"][-1]["type"] == "text":
        last = messages[-1]["content"][-1]
        last["text"] = last["text"].rstrip()


def _blocks(turn: Turn) -> Iterator[dict[str, Any]]:
    if turn.answers is not None:
        result = {"type": "tool_result", "tool_use_id": turn.answers.call_id}
        yield {**result, "content": content} if (content := [*_said(turn)]) else result
        return
    yield from _thoughts(turn)
    yield from _said(turn)
    for call in turn.calls:
        yield {"type": "tool_use", "id": call.call_id, "name": call.called.name, "input": call.called.arguments or {}}


def _said(turn: Turn) -> Iterator[dict[str, Any]]:
    for image in turn.images:
        source = {"type": "base64", "media_type": f"image/{image_type(image)}", "data": base64_of(image)}
        yield {"type": "image", "source": source}
    if turn.text.strip():
        yield {"type": "text", "text": turn.text}


def _thoughts(turn: Turn) -> Iterator[dict[str, Any]]:
    """Return the sealed thoughts of a turn: all of them as they came, or none; others are not taken back."""
    seals = [one.data for one in turn.message.extra or () if one.provider == PROVIDER]
    lengths = [seal.get("characters", 0) for seal in seals]
    thoughts, at = turn.message.thinking or "", 0
    if not all(isinstance(length, int) for length in lengths) or sum(lengths) != len(thoughts):
        return
    for seal, length in zip(seals, lengths, strict=True):
        if isinstance(opaque := seal.get("redacted_thinking"), str):
            yield {"type": "redacted_thinking", "data": opaque}
        elif isinstance(signature := seal.get("signature"), str):
            yield {"type": "thinking", "thinking": thoughts[at : at + length], "signature": signature}
        at += length


def _tools(request: ChatRequest) -> dict[str, Any]:
    """Return the tools; of a conversation with calls they must be declared, even where none may be called any more."""
    if request.tools:
        return {"tools": [_tool(tool) for tool in request.tools]}
    called = dict.fromkeys(call.name for message in request.messages for call in message.tool_calls or ())
    if not called:
        return {}
    return {"tools": [_tool(Tool(name)) for name in called], "tool_choice": {"type": "none"}}


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": tool.parameters or {"type": "object"}}


def _thinking(model: str, think: bool | str | None, max_tokens: int) -> dict[str, Any]:
    """Return how thinking is asked for; nothing where it is not, or cannot be: there is no way to forbid it to all."""
    version = version_of(model)
    if not think or version < _THINKS:
        return {}
    if version >= _ADAPTIVE:
        return {"type": "adaptive"}
    budget = min(_BUDGETS.get(think, _MUCH), max_tokens - 1)
    return {"type": "enabled", "budget_tokens": budget} if budget >= _LEAST_BUDGET else {}


def _goes_on_unsealed(messages: list[dict[str, Any]]) -> bool:
    """Whether the model is in the middle of its tools and did not think here before: it may not begin to then."""
    spoken: Mapping[str, Any] = next((one for one in reversed(messages) if one["role"] == "assistant"), {"content": []})
    kinds = [block["type"] for block in spoken["content"]]
    return "tool_use" in kinds and not kinds[0].endswith("thinking")


def _output(request: ModelRequest, *, is_adaptive: bool) -> dict[str, Any]:
    output: dict[str, Any] = {}
    if isinstance(request.format, Mapping):
        output["format"] = {"type": "json_schema", "schema": request.format}
    if is_adaptive and request.think in _EFFORTS:
        output["effort"] = request.think
    return output


def _sampling(sampling: Sampling | None, model: str, *, thinks: bool) -> dict[str, Any]:
    """Return what the model's family takes: thought is sampled by no wish of ours, and temperature rules out top_p."""
    if sampling is None:
        return {}
    stops = [stop for stop in sampling.stop or () if stop.strip()]
    asked: dict[str, Any] = {"stop_sequences": stops} if stops else {}
    if thinks or version_of(model) >= _NO_SAMPLING:
        return asked
    if sampling.temperature is not None:
        asked["temperature"] = min(max(sampling.temperature, 0.0), 1.0)
    elif sampling.top_p is not None:
        asked["top_p"] = sampling.top_p
    if sampling.top_k is not None:
        asked["top_k"] = sampling.top_k
    return asked


def _dropped(request: ModelRequest, sent: Mapping[str, Any]) -> tuple[str, ...]:
    """Return our names for what was asked and is not in the body."""
    sampling = request.sampling or Sampling()
    theirs = {name: "stop_sequences" if name == "stop" else name for name in said(sampling)}
    dropped = {f"options.{name}" for name in theirs if theirs[name] not in sent}
    if sampling.stop == ():
        dropped.discard("options.stop")
    if request.think and "thinking" not in sent:
        dropped.add("think")
    if request.format and "format" not in sent.get("output_config", {}):
        dropped.add("format")
    return tuple(sorted(dropped))
