"""Our request's JSON, written: what a gateway sends the proxy, and what tells one request from another.

request -> written(): the hop's JSON, which bodies.hop_chat and bodies.hop_generate read
"""

import hashlib
from typing import Any

import orjson

from services.wire.events import Signature
from services.wire.request import (
    Asked,
    CalledTool,
    ChatRequest,
    EmbedRequest,
    Message,
    ModelRequest,
    Sampling,
    Tool,
    said,
)


def written(request: ModelRequest) -> bytes:
    """Return the JSON of the hop; what was not said is absent, and nulls inside schemas and arguments stay."""
    return orjson.dumps(_json(request))


def written_embedding(request: EmbedRequest) -> bytes:
    """Return what asks the next hop for vectors; the older route takes one text, under another name."""
    texts = {"prompt" if request.single else "input": request.texts}
    body = {"model": request.model, **texts, "dimensions": request.dimensions, "truncate": request.truncate}
    return orjson.dumps({name: value for name, value in body.items() if value is not None})


def fingerprint(asked: Asked[ModelRequest]) -> bytes:
    """Return what tells a request from another: 32 bytes, where a body may have megabytes."""
    request, wishes = asked
    told = [request.kind, _json(request), wishes.let_through, wishes.stream, wishes.dropped]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).digest()


def _json(request: ModelRequest) -> dict[str, Any]:
    body = said(request)
    sampling, length = body.pop("sampling", None), body.pop("max_output_tokens", None)
    if sampling is not None or length is not None:
        body["options"] = {**said(sampling or Sampling()), **({} if length is None else {"num_predict": length})}
    if isinstance(request, ChatRequest):
        body["messages"] = [message_json(message) for message in request.messages]
        if request.tools is not None:
            body["tools"] = [_tool_json(tool) for tool in request.tools]
        if request.server_tools is not None:
            body["server_tools"] = said(request.server_tools)
    return body


def message_json(message: Message) -> dict[str, Any]:
    """Return one turn of a conversation as a body has it: what was said in an answer so comes back as history."""
    turn = said(message)
    if message.extra is not None:
        turn["extra"] = [signature_json(one) for one in message.extra]
    if message.tool_calls is not None:
        turn["tool_calls"] = [_call_json(call) for call in message.tool_calls]
    return turn


def _call_json(call: CalledTool) -> dict[str, Any]:
    function = said(call)
    call_id, extra = function.pop("call_id", None), function.pop("extra", None)
    written: dict[str, Any] = {"function": function} if call_id is None else {"id": call_id, "function": function}
    return written if extra is None else {**written, "extra": signature_json(extra)}


def _tool_json(tool: Tool) -> dict[str, Any]:
    function = said(tool)
    kind = function.pop("type", None)
    return {"function": function} if kind is None else {"type": kind, "function": function}


def signature_json(one: Signature) -> dict[str, Any]:
    """Return a signature as it goes out and comes back: opaque, with the name of whose it is."""
    return {"provider": one.provider, "data": one.data}
