"""What a client made for Ollama asks, in Ollama's JSON: read, never forwarded. Pure.

A body is rebuilt from the fields that our own JSON has (services.wire.bodies): Ollama matches keys case-insensitively,
and some of its fields change the server for everyone. Unknown keys are left out, so that existing clients work, and
those of Ollama's that are not offered are named. An operator may let some of them through (:data:`ALLOWABLE`).

Ollama takes a prompt or a conversation in which nothing is said for an order: to load the model, or, with a
``keep_alive`` of no time, to unload it.
"""

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from pydantic import PlainValidator
from pydantic_core import PydanticCustomError

from services.wire import bodies
from services.wire.bodies import Integer, ModelName
from services.wire.request import (
    Asked,
    EmbedRequest,
    ModelRequest,
    Wishes,
    demand_model,
    refuse_tools_beside_format,
)
from services.wire.server_tools import ServerToolNames, server_tools
from services.wire.validation import Part, read, validated

ALLOWABLE: Final = ("keep_alive", "options.num_ctx", "options.num_thread", "options.num_gpu", "options.num_batch")
"""What an operator of the proxy may let through: each changes the model server for everyone."""

# Ollama's fields that we do not offer: existing clients send them, so they are dropped and we say which. A closed list:
# a name that only its client knows may hold anything, and would reach a log line.
_NOT_OFFERED: Final = (
    *("_debug_render_only", "context", "keep_alive", "logprobs", "shift", "template", "top_logprobs", "truncate"),
    *("height", "steps", "width"),
)
_RUNNER_OPTIONS: Final = (
    *("draft_num_predict", "main_gpu", "num_batch", "num_ctx", "num_gpu", "num_keep", "num_thread", "use_mmap"),
    *("f16_kv", "low_vram", "mirostat", "mirostat_eta", "mirostat_tau", "numa", "penalize_newline", "tfs_z"),
    *("use_mlock", "vocab_only"),
)
_OPTION: Final = "options."
_OPTIONS_NOT_OFFERED: Final = tuple(_OPTION + name for name in _RUNNER_OPTIONS)
SERVER_TOOLS: Final = "server_tools"
"""A field of ours that is offered where the answer is a stream of frames, and dropped from Ollama's own shapes."""
_DROPPED: Final = (SERVER_TOOLS, *_NOT_OFFERED, *_OPTIONS_NOT_OFFERED)
_DROPPED_OF_EMBEDDING: Final = (
    "keep_alive",
    *_OPTIONS_NOT_OFFERED,
    *(_OPTION + name for name in bodies.Options.model_fields),
)
_NONE: Final[tuple[Any, ...]] = (None, "", [], {})

_MAX_DURATION: Final = 32  # characters of a Go duration
_ZERO: Final = re.compile(r"[-+]?(?:0++(?:\.0*+)?(?:ns|us|µs|ms|s|m|h)?)+")
"""No time at all, as Go writes a duration. No zero is given back: forty could be shared out in 2⁴⁰ ways."""


def _keep_alive(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and len(value) <= _MAX_DURATION):
        return value
    raise PydanticCustomError("keep_alive", "must be a number of seconds or a duration of at most 32 characters")


def _input(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, list) and all(isinstance(text, str) for text in value)):
        return value
    raise PydanticCustomError("input", "must be a string or a list of strings")


_KeepAlive = Annotated[int | float | str, PlainValidator(_keep_alive)]


class OllamaOptions(bodies.Options):
    """With those of the runner that may be let through: each other value loads the model anew."""

    num_ctx: Integer | None = None
    num_thread: Integer | None = None
    num_gpu: Integer | None = None
    num_batch: Integer | None = None


class _Body(bodies.Body):
    options: OllamaOptions | None = None
    keep_alive: _KeepAlive | None = None


class OllamaChat(_Body, bodies.ChatBody):
    """The body of ``/api/chat``."""

    server_tools: ServerToolNames | None = None


class Generate(_Body, bodies.GenerateBody):
    """The body of ``/api/generate``."""


class _Embedding(Part):
    model: ModelName | None = None
    options: OllamaOptions | None = None
    keep_alive: _KeepAlive | None = None


class Embed(_Embedding):
    """The body of ``/api/embed``."""

    input: Annotated[str | list[str], PlainValidator(_input)] | None = None
    dimensions: Integer | None = None
    truncate: bool | None = None


class Embeddings(_Embedding):
    """The body of the older ``/api/embeddings``."""

    prompt: str | None = None


class Show(Part):
    """The body of ``/api/show``; ``name`` is what older clients call the model."""

    EMPTY_IS_ABSENT = frozenset({"model", "name"})

    model: ModelName | None = None
    name: ModelName | None = None


def chat(raw: bytes, *, allowed: Collection[str] = ()) -> Asked[ModelRequest]:
    """Read the body of a chat. It may say nothing: see :attr:`Wishes.order`.

    Args:
        allowed: those of :data:`ALLOWABLE` that are offered, too, and :data:`SERVER_TOOLS` where it is.

    Raises:
        BadBody: with the first fault found.
    """
    given = read(raw)
    offered, dropped = _offered(given, _DROPPED, allowed)
    body = validated(OllamaChat, offered, extra="ignore")
    demand_model(body.model)
    request = bodies.chat_request(body)
    if body.server_tools:
        request = replace(request, server_tools=server_tools(body.server_tools, attended=True))
        refuse_tools_beside_format(request)
    return _asked(request, body, dropped, given)


def generate(raw: bytes, *, allowed: Collection[str] = ()) -> Asked[ModelRequest]:
    """Read the body of a text to continue, likewise."""
    given = read(raw)
    offered, dropped = _offered(given, _DROPPED, allowed)
    body = validated(Generate, offered, extra="ignore")
    demand_model(body.model)
    return _asked(bodies.generate_request(body), body, dropped, given)


def embed(raw: bytes, *, allowed: Collection[str] = ()) -> Asked[EmbedRequest]:
    """Read the body of ``/api/embed``, likewise; whether the input is empty is Ollama's to judge."""
    offered, dropped = _offered(read(raw), _DROPPED_OF_EMBEDDING, allowed)
    body = validated(Embed, offered, extra="ignore")
    texts = tuple(body.input) if isinstance(body.input, list) else body.input
    request = EmbedRequest(demand_model(body.model), texts, body.dimensions, body.truncate)
    return Asked(request, Wishes(dropped=dropped, let_through=_let_through(body)))


def embeddings(raw: bytes, *, allowed: Collection[str] = ()) -> Asked[EmbedRequest]:
    """Read the body of ``/api/embeddings``, likewise."""
    offered, dropped = _offered(read(raw), _DROPPED_OF_EMBEDDING, allowed)
    body = validated(Embeddings, offered, extra="ignore")
    request = EmbedRequest(demand_model(body.model), body.prompt, single=True)
    return Asked(request, Wishes(dropped=dropped, let_through=_let_through(body)))


def shown_model(raw: bytes) -> str:
    """Return the model that a body of ``/api/show`` asks about, by its newer or its older name.

    Raises:
        BadBody: it names none.
    """
    asked = validated(Show, read(raw), extra="ignore")
    return demand_model(asked.model or asked.name)


def _asked(request: ModelRequest, body: _Body, dropped: tuple[str, ...], given: dict[str, Any]) -> Asked[ModelRequest]:
    order: Literal["load", "unload"] = "unload" if _is_no_time(given.get("keep_alive")) else "load"
    wishes = Wishes(
        stream=body.stream,
        order=order if request.is_empty else None,
        dropped=dropped,
        let_through=_let_through(body),
    )
    return Asked(request, wishes)


def _let_through(body: _Body | _Embedding) -> dict[str, Any]:
    """Return what is left of :data:`ALLOWABLE`: what is not allowed was dropped before."""
    found = {
        name: getattr(body.options if name.startswith(_OPTION) else body, name.removeprefix(_OPTION), None)
        for name in ALLOWABLE
    }
    return {name: value for name, value in found.items() if value is not None}


def _offered(
    given: dict[str, Any], closed: Collection[str], allowed: Collection[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return ``given`` without the fields ``closed`` that are not ``allowed``, and the names of those that meant much.

    What is null or empty means nothing to Ollama either, and is not spoken of.
    """
    kept, options, dropped = dict(given), given.get("options"), []
    if isinstance(options, dict):
        kept["options"] = options = dict(options)
    for path in closed:
        place, name = (options, path.removeprefix(_OPTION)) if path.startswith(_OPTION) else (kept, path)
        if path not in allowed and isinstance(place, dict) and place.pop(name, None) not in _NONE:
            dropped.append(path)
    return kept, tuple(sorted(dropped))


def _is_no_time(keep_alive: object) -> bool:
    if isinstance(keep_alive, str):
        return _ZERO.fullmatch(keep_alive) is not None
    return not isinstance(keep_alive, bool) and keep_alive == 0
