"""A request in Ollama's words: the bodies of its /api/generate, /api/chat, /api/embed and /api/embeddings. Pure.

What was not said is absent, so that the model's own defaults hold. ``let_through`` are the fields that a client of
Ollama's own language may set because the operator allows it (services.dialects.ollama_request); options among them are
named ``options.<name>``. The hop's JSON has much of the same shape (services.wire.bodies); refused: one writer for
both, by which a field that the hop gains would reach Ollama.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from proxy.providers.adapter import Question, UpstreamRequest
from services.wire.request import CalledTool, ChatRequest, EmbedRequest, Message, Sampling, Tool, said

PATHS: Final[Mapping[str, str]] = {"generate": "/api/generate", "chat": "/api/chat"}
EMBED_PATHS: Final[Mapping[str, str]] = {"embed": "/api/embed", "embeddings": "/api/embeddings"}
_OPTION: Final = "options."


def answer_request(question: Question) -> UpstreamRequest:
    """Return what asks for an answer; Ollama always gets ``stream: true``."""
    request = question.request
    body = {**said(request), "model": question.model}
    body.pop("local_only", None)  # ours to obey
    if isinstance(request, ChatRequest):
        body["messages"] = [_message(message) for message in request.messages]
        if request.tools is not None:
            body["tools"] = [_tool(tool) for tool in request.tools]
    sampling, num_predict = body.pop("sampling", None), body.pop("max_output_tokens", None)
    if sampling is not None or num_predict is not None:
        body["options"] = said(sampling or Sampling())
        if num_predict is not None:
            body["options"]["num_predict"] = num_predict
    return UpstreamRequest(PATHS[request.kind], orjson.dumps({**_with(body, question.let_through), "stream": True}))


def embed_request(request: EmbedRequest, let_through: Mapping[str, Any]) -> UpstreamRequest:
    """Return what asks for vectors; the older route takes one text, under another name."""
    body = {
        "model": request.model,
        "prompt" if request.single else "input": request.texts,
        "dimensions": request.dimensions,
        "truncate": request.truncate,
    }
    body = _with({name: value for name, value in body.items() if value is not None}, let_through)
    return UpstreamRequest(EMBED_PATHS["embeddings" if request.single else "embed"], orjson.dumps(body))


def _message(message: Message) -> dict[str, Any]:
    turn = said(message)
    turn.pop("extra", None)  # another provider's
    if message.tool_calls is not None:
        turn["tool_calls"] = [_call(call) for call in message.tool_calls]
    return turn


def _call(call: CalledTool) -> dict[str, Any]:
    function = said(call)
    call_id, _ = function.pop("call_id", None), function.pop("extra", None)
    return {"function": function} if call_id is None else {"id": call_id, "function": function}


def _tool(tool: Tool) -> dict[str, Any]:
    function = said(tool)
    kind = function.pop("type", None)
    return {"function": function} if kind is None else {"type": kind, "function": function}


def _with(body: dict[str, Any], let_through: Mapping[str, Any]) -> dict[str, Any]:
    for path, value in let_through.items():
        if path.startswith(_OPTION):
            body.setdefault("options", {})[path.removeprefix(_OPTION)] = value
        else:
            body[path] = value
    return body


def check(key: str | None) -> UpstreamRequest:
    """Return the request that shows whether it answers; Ollama has no keys, what stands before it may."""
    return UpstreamRequest("/api/tags", method="GET", headers={"Authorization": f"Bearer {key}"} if key else {})
