"""A request in Gemini's words: the body of generateContent. Pure.

Its native API: the other, OpenAI's, refuses whole requests for a name that it does not know, and hides its signatures.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from proxy.providers.adapter import Question, UpstreamRequest
from proxy.providers.history import Call, Turn, alternating, turns_of
from proxy.providers.images import base64_of, image_type
from services.wire import json_text
from services.wire.events import Signature
from services.wire.request import ChatRequest, ModelRequest, Sampling, Tool, said

PROVIDER: Final = "gemini"
_PATH: Final = "/v1beta/models/"
SIGNATURE: Final = "thoughtSignature"
_UNSEALED: Final = "skip_thought_signature_validator"
"""Documented for a call that was made elsewhere: Gemini 3 refuses one without a signature."""
_NAMES: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "stop": "stopSequences",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
MAX_STOPS: Final = 5
_INT32: Final = 1 << 31
_MODEL: Final = re.compile(r"gemini-(?P<major>\d+)(?:\.(?P<minor>\d+))?", re.ASCII)
_NEWEST: Final = (99, 0)
_LEVELS: Final = (3, 0)
_BUDGETS: Final = (2, 5)
_BUDGET: Final[Mapping[bool | str, int]] = {"low": 1024, "medium": 8192, True: -1}
"""Tokens to think in; -1 leaves it to the model. A word that is not here asks for much."""
_MUCH: Final = 24_576
_LEAST_OF_PRO: Final = 128
"""The larger model of 2.5 cannot but think."""
_LEVEL: Final[Mapping[bool | str, str]] = {"low": "low", "medium": "medium", "minimal": "minimal"}
_NO_STEP: Final = re.compile(rb"[^A-Za-z0-9._~-]")
"""What a name may not be in a path as it is (RFC 3986, 2.3)."""


def answer_request(question: Question) -> UpstreamRequest:
    """Return what asks for an answer."""
    request, turns = question.request, turns_of(question.request)
    body: dict[str, Any] = {"contents": _contents(turns, question.model)}
    if system := [{"text": turn.text} for turn in turns if turn.role == "system"]:
        body["systemInstruction"] = {"parts": system}
    if isinstance(request, ChatRequest) and request.tools:
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}]
    if config := _config(request, question.model):
        body["generationConfig"] = config
    model = _step(question.model.removeprefix("models/"))
    method = ":streamGenerateContent?alt=sse" if question.stream else ":generateContent"
    return UpstreamRequest(
        _PATH + model + method,
        orjson.dumps(body),
        headers=_headers(question.key),
        dropped=_dropped(request, config),
        streams=question.stream,
    )


def check(key: str | None) -> UpstreamRequest:
    """Return the request that proves ``key``: it lists the models."""
    return UpstreamRequest("/v1beta/models?pageSize=1000", method="GET", headers=_headers(key))


def _step(model: str) -> str:
    """Return a name as one step of a path, whatever is in it."""
    return _NO_STEP.sub(lambda found: b"%%%02X" % found[0][0], model.encode()).decode()


def _headers(key: str | None) -> dict[str, str]:
    """Return the key's header: in the address, where it may stand too, it would lie in logs."""
    return {"x-goog-api-key": key} if key else {}


def _contents(turns: list[Turn], model: str) -> list[dict[str, Any]]:
    """Return the turns of user and model, the user first; all results of one turn's calls are one turn of the user."""
    return [
        {"role": "model" if is_model else "user", "parts": [part for turn in said for part in _parts(turn, model)]}
        for is_model, said in alternating(turns)
    ]


def _parts(turn: Turn, model: str) -> Iterator[dict[str, Any]]:
    if turn.answers is not None:
        yield _result(turn.answers, turn.text)
    elif turn.text:
        yield {"text": turn.text}
    for image in turn.images:
        yield {"inlineData": {"mimeType": f"image/{image_type(image)}", "data": base64_of(image)}}
    for seal in turn.message.extra or ():
        if (signature := _signature(seal)) is not None:
            yield {"text": "", SIGNATURE: signature}
    for number, call in enumerate(turn.calls):
        yield _call(call, model, is_first=number == 0)


def _call(call: Call, model: str, *, is_first: bool) -> dict[str, Any]:
    """Return a call with its seal; of calls that were made together the first alone has one."""
    function = {"name": call.called.name, "args": call.called.arguments or {}}
    signature = None if call.called.extra is None else _signature(call.called.extra)
    if signature is None and is_first and _version_of(model) >= _LEVELS:
        signature = _UNSEALED
    return {"functionCall": function, **({} if signature is None else {SIGNATURE: signature})}


def _result(call: Call, text: str) -> dict[str, Any]:
    try:
        given = json_text.loads(text)
    except orjson.JSONDecodeError:
        given = None
    response = given if isinstance(given, dict) else {"result": text}
    return {"functionResponse": {"name": call.called.name, "response": response}}


def _signature(seal: Signature) -> str | None:
    signature = seal.data.get(SIGNATURE) if seal.provider == PROVIDER else None
    return signature if isinstance(signature, str) else None


def _tool(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described} | ({"parametersJsonSchema": tool.parameters} if tool.parameters else {})


def _config(request: ModelRequest, model: str) -> dict[str, Any]:
    config = _sampling(request.sampling)
    if (length := request.max_output_tokens) is not None and length > 0:
        config["maxOutputTokens"] = length
    if request.format:
        config["responseMimeType"] = "application/json"
    if isinstance(request.format, Mapping):
        config["responseJsonSchema"] = request.format
    if request.think is not None and (thinking := _thinking(model, request.think)):
        config["thinkingConfig"] = thinking
    return config


def _sampling(sampling: Sampling | None) -> dict[str, Any]:
    given = {} if sampling is None else said(sampling)
    config = {_NAMES[name]: value for name, value in given.items() if name in _NAMES}
    if "stopSequences" in config:
        config["stopSequences"] = [stop for stop in config["stopSequences"] if stop][:MAX_STOPS]
    if not -_INT32 <= config.get("seed", 0) < _INT32:
        del config["seed"]
    return {name: value for name, value in config.items() if value != []}


def _thinking(model: str, think: bool | str) -> dict[str, Any]:
    """Return how thinking is asked for, or held down as far as the family lets it; nothing for one that never does."""
    version, shown = _version_of(model), {"includeThoughts": bool(think)}
    if version >= _LEVELS:
        return {**shown, "thinkingLevel": "low" if think is False else _LEVEL.get(think, "high")}
    if version < _BUDGETS:
        return {}
    if think is False:
        return {**shown, "thinkingBudget": _LEAST_OF_PRO if "pro" in model else 0}
    return {**shown, "thinkingBudget": _BUDGET.get(think, _MUCH)}


def _version_of(model: str) -> tuple[int, int]:
    found = _MODEL.search(model.lower())
    return (int(found["major"]), int(found["minor"] or 0)) if found else _NEWEST


def _dropped(request: ModelRequest, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return our names for what was asked and is not in the body."""
    sampling = request.sampling or Sampling()
    dropped = {f"options.{name}" for name in said(sampling) if _NAMES.get(name) not in config}
    if len(sampling.stop or ()) > MAX_STOPS:
        dropped.add("options.stop")
    elif not any(sampling.stop or ()):
        dropped.discard("options.stop")
    if request.think is not None and "thinkingConfig" not in config:
        dropped.add("think")
    return tuple(sorted(dropped))
