"""What a model is asked: the request bodies of both sides, and what goes on to the next hop.

    bytes -> bodies.read, bodies.validated -> the rules between fields -> ModelRequest | GatewayRequest, or BadBody

A body is never forwarded but rebuilt from the fields declared in bodies.py: Ollama matches keys case-insensitively, and
some of its fields change the server for everyone. Both sides share types and limits; the gateway refuses unknown keys
by name where the proxy drops them, so that existing clients of Ollama work, and each has a few fields of its own.
An operator of the proxy may let five of the dropped ones through (:data:`ALLOWABLE`).
"""

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from services.wire import bodies
from services.wire.bodies import MAX_IMAGES, MAX_MESSAGES, BadBody

__all__ = [
    "ALLOWABLE",
    "BadBody",
    "EmbedRequest",
    "GatewayRequest",
    "ModelRequest",
    "demand_content",
    "gateway_chat",
    "gateway_generate",
    "idempotency_key",
    "proxy_chat",
    "proxy_embed",
    "proxy_embeddings",
    "proxy_generate",
    "shown_model",
    "with_defaults",
]

_IDEMPOTENCY_KEY: Final = re.compile(r"[A-Za-z0-9_-]{22,64}")

Kind = Literal["chat", "generate"]

# Fields between hops, which no model server sees.
_NOT_THE_MODELS: Final = {"stream", "message", "on_disconnect", "conversation_id"}

# Ollama's fields that we do not offer: existing clients send them, so the proxy drops them and says which. A closed
# list: a name that only its client knows may hold anything, and would reach a log line.
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
_EVERY_OPTION: Final = (*_OPTIONS_NOT_OFFERED, *(_OPTION + name for name in bodies.OPTIONS))
_NONE: Final[tuple[Any, ...]] = (None, "", [], {})

ALLOWABLE: Final = ("keep_alive", "options.num_ctx", "options.num_thread", "options.num_gpu", "options.num_batch")
"""What an operator of the proxy may let through: each changes the model server for everyone."""

_ZERO: Final = re.compile(r"[-+]?(?:0+(?:\.0*)?(?:ns|us|µs|ms|s|m|h)?)+")
"""No time at all, as Go writes a duration."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What a model is asked.

    Attributes:
        kind: which of the model server's two languages ``body`` speaks.
        body: the allowed fields, rebuilt; nulls are absent, and so is ``stream``: the model server always gets true.
        stream: the client's own wish for the shape of the answer, None if it has none.
        dropped: Ollama's fields that were sent and are not offered, sorted, options as ``options.<name>``.
        leaves_memory: whether ``keep_alive`` asks for no time at all: with nothing said, Ollama unloads the model.
    """

    kind: Kind
    body: dict[str, Any]
    stream: bool | None = None
    dropped: tuple[str, ...] = ()
    leaves_memory: bool = False

    @property
    def model(self) -> str | None:
        """The model's name; never None at the proxy."""
        return self.body.get("model")

    @property
    def order(self) -> Literal["load", "unload"] | None:
        """What Ollama takes a prompt or a conversation for in which nothing is said; None where something is."""
        if self.body.get("prompt" if self.kind == "generate" else "messages"):
            return None
        return "unload" if self.leaves_memory else "load"

    @property
    def num_predict(self) -> int | None:
        """The wished length in tokens; below 1 it means no limit."""
        wanted: int | None = self.body.get("options", {}).get("num_predict")
        return wanted

    @property
    def fingerprint(self) -> bytes:
        """What tells this request from another: 32 bytes, where a body may have megabytes."""
        said = [self.kind, self.body, self.stream, self.dropped]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).digest()

    @property
    def wants_tools_or_format(self) -> bool:
        """Whether the model server may be silent for long: it holds a whole call or object back."""
        return bool(self.body.get("tools") or self.body.get("format"))


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """What is to be embedded by which model, rebuilt, and what was dropped, as :class:`ModelRequest` has it."""

    model: str
    body: dict[str, Any]
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GatewayRequest(ModelRequest):
    """What a client asks: ``on_disconnect`` is what its leaving means, ``conversation_id`` is echoed and no more."""

    on_disconnect: Literal["cancel", "continue"] = "cancel"
    conversation_id: str | None = None


def idempotency_key(given: str | None) -> str | None:
    """Return the Idempotency-Key of a request, None if it has none.

    Until keys exist every caller is anonymous and knowing a key joins its stream: it has to be unguessable.

    Raises:
        BadBody: it has not the form.
    """
    if given is not None and not _IDEMPOTENCY_KEY.fullmatch(given):
        raise BadBody("An Idempotency-Key is 22 to 64 characters of [A-Za-z0-9_-]")
    return given


def gateway_chat(raw: bytes, *, stream: bool = True) -> GatewayRequest:
    """Read the body of the gateway's chat routes; ``stream`` is the only value its field may have there.

    Raises:
        BadBody: with the first fault found.
    """
    asked = bodies.validated(bodies.GatewayChat, bodies.read(raw), extra="forbid")
    body = _rebuilt(asked)
    body["messages"] = _conversation(body.pop("system", None), asked.message, body.get("messages"))
    return _gateway_request("chat", asked, body, stream=stream)


def gateway_generate(raw: bytes, *, stream: bool = True) -> GatewayRequest:
    """Read the body of the gateway's generate route, likewise."""
    asked = bodies.validated(bodies.GatewayGenerate, bodies.read(raw), extra="forbid")
    return _gateway_request("generate", asked, _rebuilt(asked), stream=stream)


def proxy_chat(raw: bytes, *, allowed: Collection[str] = ()) -> ModelRequest:
    """Read the body of the proxy's chat routes: Ollama's own, what is not offered dropped.

    It may say nothing, which on Ollama's own routes is an ``order``; elsewhere see :func:`demand_content`.

    Args:
        allowed: those of :data:`ALLOWABLE` that are offered, too.

    Raises:
        BadBody: with the first fault found.
    """
    return _proxy_request("chat", bodies.ProxyChat, bodies.read(raw), allowed)


def proxy_generate(raw: bytes, *, allowed: Collection[str] = ()) -> ModelRequest:
    """Read the body of the proxy's generate routes, likewise."""
    return _proxy_request("generate", bodies.ProxyGenerate, bodies.read(raw), allowed)


def proxy_embed(raw: bytes, *, allowed: Collection[str] = ()) -> EmbedRequest:
    """Read the body of the proxy's ``/api/embed``, likewise; whether the input is empty is Ollama's to judge."""
    return _embed_request(bodies.Embed, bodies.read(raw), allowed)


def proxy_embeddings(raw: bytes, *, allowed: Collection[str] = ()) -> EmbedRequest:
    """Read the body of the proxy's ``/api/embeddings``, likewise."""
    return _embed_request(bodies.Embeddings, bodies.read(raw), allowed)


def shown_model(raw: bytes) -> str:
    """Return the model that a body of the proxy's ``/api/show`` asks about, by its newer or its older name.

    Raises:
        BadBody: it names none.
    """
    asked = bodies.validated(bodies.Show, bodies.read(raw), extra="ignore")
    return _demanded(asked.model or asked.name)


def demand_content(request: ModelRequest) -> None:
    """Refuse what Ollama takes for an order to load or unload the model.

    Raises:
        BadBody: nothing is said.
    """
    if request.order is not None:
        raise BadBody("Prompt is required" if request.kind == "generate" else "Message is required")


def with_defaults(request: GatewayRequest, model: str, max_output_tokens: int) -> dict[str, Any]:
    """Return the body that goes to the proxy: a model (``model`` if none was named) and a capped ``num_predict``.

    No limit, which Ollama writes as absent, 0 or -1, means the cap.
    """
    wanted = request.num_predict
    capped = max_output_tokens if wanted is None or wanted < 1 else min(wanted, max_output_tokens)
    options = {**request.body.get("options", {}), "num_predict": capped}
    return {**request.body, "model": request.model or model, "options": options}


def _gateway_request(kind: Kind, asked: bodies.GatewayBody, body: dict[str, Any], *, stream: bool) -> GatewayRequest:
    request = GatewayRequest(
        kind=kind,
        body=body,
        stream=asked.stream,
        on_disconnect=asked.on_disconnect,
        conversation_id=asked.conversation_id,
    )
    demand_content(request)
    _refuse_many_images(body)
    if asked.stream not in (None, stream):
        raise BadBody(f"stream must be {str(stream).lower()} on this route")
    return request


def _proxy_request(
    kind: Kind, model: type[bodies.ProxyBody], given: dict[str, Any], allowed: Collection[str]
) -> ModelRequest:
    offered, dropped = _offered(given, (*_NOT_OFFERED, *_OPTIONS_NOT_OFFERED), allowed)
    asked = bodies.validated(model, offered, extra="ignore")
    body = _rebuilt(asked)
    _demanded(asked.model)
    _refuse_many_images(body)
    leaves = _is_no_time(given.get("keep_alive"))
    return ModelRequest(kind=kind, body=body, stream=asked.stream, dropped=dropped, leaves_memory=leaves)


def _embed_request(
    model: type[bodies.Embed] | type[bodies.Embeddings], given: dict[str, Any], allowed: Collection[str]
) -> EmbedRequest:
    offered, dropped = _offered(given, ("keep_alive", *_EVERY_OPTION), allowed)
    asked = bodies.validated(model, offered, extra="ignore")
    return EmbedRequest(_demanded(asked.model), asked.model_dump(exclude_unset=True), dropped)


def _demanded(model: str | None) -> str:
    if model is None:
        raise BadBody("model is required")
    return model


def _rebuilt(asked: bodies.Body) -> dict[str, Any]:
    """Return the fields that were sent and are meant for the model; nulls inside schemas and arguments stay."""
    return asked.model_dump(exclude_unset=True, exclude=_NOT_THE_MODELS)


def _conversation(system: str | None, message: str | None, messages: list[Any] | None) -> list[Any]:
    """Return the messages of a gateway's chat: ``message`` stands for one of the user, ``system`` goes in front."""
    if message is not None and messages is not None:
        raise BadBody("Send either message or messages, not both")
    turns = messages or [{"role": "user", "content": message}]
    if not any(turn["role"] == "user" and (turn.get("content") or turn.get("images")) for turn in turns):
        raise BadBody("Message is required")
    instructed = [{"role": "system", "content": system}, *turns] if system else turns
    if len(instructed) > MAX_MESSAGES:
        raise BadBody(f"messages and system together must be at most {MAX_MESSAGES}")
    return instructed


def _refuse_many_images(body: dict[str, Any]) -> None:
    if sum(len(message.get("images", ())) for message in body.get("messages", ())) > MAX_IMAGES:
        raise BadBody(f"messages must have at most {MAX_IMAGES} images together")


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
