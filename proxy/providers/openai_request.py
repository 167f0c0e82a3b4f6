"""A request in OpenAI's words: the body of /chat/completions. Pure.

What a family of models refuses is not sent, and said (``dropped``). Of a model that is not known here everything is
asked; what its server then refuses is left out of the next attempt (``Question.without``).
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import orjson

from proxy.providers.adapter import Question, UpstreamRequest
from proxy.providers.history import Call, Turn, turns_of
from proxy.providers.images import data_url
from services.wire.request import ChatRequest, ModelRequest, Sampling, Tool, said

PATH: Final = "/chat/completions"
MAX_STOPS: Final = 4
PARAMETERS: Final = frozenset(
    {"frequency_penalty", "max_completion_tokens", "max_tokens", "presence_penalty", "reasoning_effort"}
    | {"response_format", "seed", "stop", "stream_options", "temperature", "top_p"}
)
"""What can be left out, and the question is still the same."""
_OWN_NAMES: Final[Mapping[str, str]] = {
    "max_completion_tokens": "options.num_predict",
    "max_tokens": "options.num_predict",
    "reasoning_effort": "think",
    "response_format": "format",
}
"""Ours for what is left out, where they differ from ``options.<name>``."""
_UNSAID: Final = frozenset({"include_reasoning", "reasoning_format", "stream_options"})
"""What nobody asked for: it is left out without a word."""
_SAMPLING: Final = ("temperature", "top_p", "seed", "presence_penalty", "frequency_penalty")
_REASONING: Final = ("o1", "o3", "o4", "gpt-5", "gpt-6")
_PLAIN: Final = ("gpt-3.5", "gpt-4", "chatgpt-4")
"""Families that do not reason: asked to think, they refuse."""
_NOT_TO_REASONING: Final = frozenset({"temperature", "top_p", "presence_penalty", "frequency_penalty"})
_EFFORTS: Final[Mapping[bool | str, str]] = {True: "medium", "max": "high"}


def answer_request(question: Question) -> UpstreamRequest:
    """Return what asks for an answer."""
    body = asked_body(question, provider="openai")
    body |= {"stream": question.stream}
    if question.stream:
        body["stream_options"] = {"include_usage": True}
    return posted(question, body, dropped_of(question.request, sent=body, thinks="reasoning_effort" in body))


def asked_body(question: Question, *, provider: str) -> dict[str, Any]:
    """Return the body as OpenAI itself would take it for this model, without what is said of the stream."""
    request, reasons = question.request, reasons_by_name(question.model)
    messages = messages_of(turns_of(request), system="developer" if reasons else "system", provider=provider)
    body: dict[str, Any] = {"model": question.model, "messages": messages, **sampling_of(request.sampling)}
    if reasons:
        body = {name: value for name, value in body.items() if name not in _NOT_TO_REASONING}
    if (length := request.max_output_tokens) is not None and length > 0:
        old_name = not reasons and "max_tokens" not in question.without
        body["max_tokens" if old_name else "max_completion_tokens"] = length
    if (effort := _effort(question.model, request.think)) is not None:
        body["reasoning_effort"] = effort
    if isinstance(request, ChatRequest) and request.tools:
        body["tools"] = [tool_of(tool) for tool in request.tools]
    if request.format:
        body["response_format"] = format_of(request.format)
    return body


def posted(question: Question, body: Mapping[str, Any], dropped: Iterable[str]) -> UpstreamRequest:
    """Return the request of ``body``, without what its server refuses.

    Args:
        dropped: our names for what was asked and is not in ``body``.
    """
    kept = {name: value for name, value in body.items() if name not in question.without}
    names = set(dropped) | {_own_name(name) for name in body.keys() - kept.keys()}
    return UpstreamRequest(
        PATH,
        orjson.dumps(kept),
        headers=authorized(question.key),
        dropped=tuple(sorted(names - {""})),
        streams=kept["stream"],
    )


def check(key: str | None) -> UpstreamRequest:
    """Return the request that proves ``key``: it lists the models."""
    return UpstreamRequest("/models", method="GET", headers=authorized(key))


def authorized(key: str | None) -> dict[str, str]:
    """Return the header that shows ``key``."""
    return {"Authorization": f"Bearer {key}"} if key else {}


def reasons_by_name(model: str) -> bool:
    """Whether ``model`` is of OpenAI's families that think, whoever serves it under a longer name."""
    return _family(model).startswith(_REASONING)


def sampling_of(sampling: Sampling | None) -> dict[str, Any]:
    """Return what OpenAI's school knows of ``sampling``."""
    if sampling is None:
        return {}
    given = said(sampling)
    known: dict[str, Any] = {name: given[name] for name in _SAMPLING if name in given}
    if sampling.stop:
        known["stop"] = sampling.stop[:MAX_STOPS]
    return known


def dropped_of(request: ModelRequest, *, sent: Collection[str], thinks: bool) -> set[str]:
    """Return our names for the options of ``request`` that are not asked for.

    Args:
        sent: the names in its body.
        thinks: whether the body says how much to think.
    """
    sampling, dropped = request.sampling or Sampling(), set[str]()
    dropped |= {_own_name(name) for name in said(sampling) if name not in sent}
    if sampling.stop is not None and len(sampling.stop) > MAX_STOPS:
        dropped.add("options.stop")
    if request.think is not None and not thinks:
        dropped.add("think")
    return dropped - ({"options.stop"} if sampling.stop == () else set())


def messages_of(turns: Iterable[Turn], *, system: str, provider: str) -> list[dict[str, Any]]:
    """Return the turns as messages.

    Args:
        system: what the role is called there.
        provider: whose seals go with their calls.
    """
    messages: list[dict[str, Any]] = []
    for turn in turns:
        role = system if turn.role == "system" else turn.role
        if turn.answers is not None:
            messages.append({"role": role, "tool_call_id": turn.answers.call_id, "content": turn.text})
            if turn.images:  # a result is text alone
                messages.append({"role": "user", "content": _parts("", turn.images)})
            continue
        message: dict[str, Any] = {"role": role, "content": _parts(turn.text, turn.images)}
        if turn.calls:
            message["tool_calls"] = [_call(call, provider) for call in turn.calls]
            message["content"] = message["content"] or None
        messages.append(message)
    return messages


def tool_of(tool: Tool) -> dict[str, Any]:
    """Return a tool that may be called."""
    function = said(tool)
    function.pop("type", None)
    return {"type": "function", "function": function}


def format_of(wanted: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return how a wish for JSON, or for JSON of a schema, is said; only a closed schema can be kept to strictly."""
    if isinstance(wanted, str):
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted, "strict": is_closed(wanted)}}


def is_closed(schema: object) -> bool:
    """Whether every object of a schema names all of its properties and demands them: what OpenAI's ``strict`` asks."""
    if isinstance(schema, list):
        return all(map(is_closed, schema))
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict) or not _are_names(required):
            return False  # it is no schema: its server says so
        if schema.get("additionalProperties") is not False or set(required) != set(properties):
            return False
        return all(map(is_closed, properties.values()))
    return all(map(is_closed, schema.values()))


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _parts(text: str, images: Iterable[str]) -> str | list[dict[str, Any]]:
    pictures = [{"type": "image_url", "image_url": {"url": data_url(image)}} for image in images]
    if not pictures:
        return text
    return [{"type": "text", "text": text}, *pictures] if text else pictures


def _call(call: Call, provider: str) -> dict[str, Any]:
    called = call.called
    function = {"name": called.name, "arguments": orjson.dumps(called.arguments or {}).decode()}
    written: dict[str, Any] = {"id": call.call_id, "type": "function", "function": function}
    seal = called.extra
    return written if seal is None or seal.provider != provider else {**written, "extra_content": seal.data}


def _effort(model: str, think: bool | str | None) -> str | None:
    """Return the word for how much ``model`` is to think; None where it is not to be said."""
    family = _family(model)
    if think is None or family.startswith(_PLAIN):
        return None
    if think is False:
        if not reasons_by_name(model):
            return None  # a model that is not known thinks unless told otherwise in words of its own
        return "none" if family.startswith(("gpt-5.", "gpt-6")) else "minimal" if family.startswith("gpt-5") else "low"
    return _EFFORTS.get(think) or str(think)


def _family(model: str) -> str:
    return model.rpartition("/")[2].lower()


def _own_name(name: str) -> str:
    return "" if name in _UNSAID else _OWN_NAMES.get(name, f"options.{name}")
