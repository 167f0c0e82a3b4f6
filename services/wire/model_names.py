"""What a model is called: one canonical name for its many spellings, and the lists in which a model server names them.

Pure. The grammar is Ollama's, ``[host/][namespace/]model[:tag]``, compared without regard to case.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import orjson

from services.wire.json_text import loads

MAX_MODEL_CHARACTERS: Final = 256
"""Longest name that a request may ask for; a longer one in a list could not be asked for."""
REMEMBERED: Final = 256
"""Canonical names kept of what was asked for: every request needs its model's several times."""
MAX_CAPABILITIES: Final = 16
"""Kept of what a list, or a look at a model, says: Ollama knows eight."""
_DEFAULT_HOST: Final = "registry.ollama.ai"
_DEFAULT_NAMESPACE: Final = "library"
_DEFAULT_TAG: Final = "latest"
_SCHEMES: Final = ("https://", "http://")
_FORCED_LOCAL: Final = ":local"
"""A source, not a tag: the model server cuts it off and never asks the cloud."""
_CLOUD_TAG: Final = "cloud"
_EMBEDDING_FAMILY: Final = "bert"
"""In the family of every text encoder: ``bert``, ``nomic-bert``, ``nomic-bert-moe``, ``modern-bert``, ``roberta``."""
_IMAGE_FAMILY: Final = "clip"
_EMBEDDING_NAME: Final = "embed"
_SIMULATORS_FAMILY: Final = "simulator"
NO_MODEL: Final = "No model is installed. Install one: `ollama pull llama3.2`."
"""The message of a 404 where the list is empty: both servers'."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model as ``/api/tags`` or ``/api/ps`` shows it; what is not said, or is of a wrong type, is None.

    Attributes:
        name: as the model server spells it.
        size: of its file, in bytes.
        capabilities: None where the server lists none, as older ones do.
        vram_bytes: of graphics memory, while it is loaded.
        modified_s: when it was installed, in seconds of UTC.
        servers: the names of the model servers that have it, where there are several.
        is_remote: whether another server answers for it: what it is asked leaves this machine.
    """

    name: str
    size: int | None = None
    family: str | None = None
    digest: str | None = None
    capabilities: tuple[str, ...] | None = None
    vram_bytes: int | None = None
    modified_s: int | None = None
    is_remote: bool = False
    servers: tuple[str, ...] | None = None

    @property
    def can_chat(self) -> bool:
        """Whether it answers with text: its capabilities say so, or nothing that is known of it speaks against it."""
        if self.capabilities is not None:
            return "completion" in self.capabilities
        family = (self.family or "").lower()
        embeds = _EMBEDDING_FAMILY in family or _EMBEDDING_NAME in self.name.lower()
        return not embeds and family != _IMAGE_FAMILY

    @property
    def may_do_more(self) -> bool:
        """Whether it may be capable of more than its list says.

        A list is made without reading the model's file: a template inside it may well know tools and thinking.
        """
        return self.capabilities in {None, ("completion",)}

    @property
    def is_simulated(self) -> bool:
        """Whether its words are the simulator's, and no model's."""
        return self.family == _SIMULATORS_FAMILY


@lru_cache(maxsize=REMEMBERED)
def canonical(name: str) -> str:
    """Return the one name of a model, however it was written.

    The default registry, its ``library``, the tag ``latest``, case, spaces around it and a forced ``:local`` make no
    other model (Ollama's types/model and internal/modelref). It keys what one model has once; it is not sent on.
    """
    path = name.strip().lower().removesuffix(_FORCED_LOCAL)
    for scheme in _SCHEMES:
        path = path.removeprefix(scheme)
    *owner, model = path.removeprefix(f"{_DEFAULT_HOST}/").split("/")
    if owner == [_DEFAULT_NAMESPACE]:
        owner = []
    return "/".join([*owner, model if ":" in model else f"{model}:{_DEFAULT_TAG}"])


def is_cloud_name(name: str) -> bool:
    """Return whether a name is of a model that an Ollama asks its maker's cloud for."""
    tag = canonical(name).rpartition(":")[2]
    return tag == _CLOUD_TAG or tag.endswith(f"-{_CLOUD_TAG}")


def listed_models(body: bytes) -> tuple[ListedModel, ...] | None:
    """Return the models of an answer of ``/api/tags`` or ``/api/ps``, in its order; None if it is not one.

    Go writes an empty list as ``null``. An entry without a name that can be asked for is left out.
    """
    listed = _loaded(body)
    if not isinstance(listed, dict) or "models" not in listed:
        return None
    models = listed["models"] or []
    if not isinstance(models, list):
        return None
    return tuple(_listed(model) for model in models if isinstance(model, dict) and _is_name(model.get("name")))


def merged_lists(bodies: Sequence[bytes]) -> bytes:
    """Return one answer of ``/api/tags`` or ``/api/ps`` for those of several model servers: each model once.

    What has no list of objects is left out.
    """
    merged: dict[str, Any] = {}
    for body in bodies:
        listed = _loaded(body)
        models = listed.get("models") if isinstance(listed, dict) else None
        for model in models if isinstance(models, list) else ():
            if isinstance(model, dict):
                merged.setdefault(canonical(str(model.get("name"))), model)
    return orjson.dumps({"models": list(merged.values())})


def shown_capabilities(body: bytes) -> tuple[str, ...] | None:
    """Return the capabilities in an answer of ``/api/show``; None if it names none."""
    shown = _loaded(body)
    return _words(shown.get("capabilities")) if isinstance(shown, dict) else None


def default_model(models: Iterable[ListedModel], kept: str | None = None) -> str | None:
    """Return the model that is meant where none is named: ``kept`` as long as it is listed, else the first that chats.

    A list is newest first: without ``kept`` every pull would change everybody's default.

    Args:
        kept: what was returned before.
    """
    chatting = [model.name for model in models if model.can_chat]
    if kept is not None:
        before = canonical(kept)
        chatting.sort(key=lambda name: canonical(name) != before)
    return chatting[0] if chatting else None


def _loaded(body: bytes) -> object:
    try:
        return loads(body)
    except orjson.JSONDecodeError:
        return None


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_MODEL_CHARACTERS


def _listed(model: dict[str, Any]) -> ListedModel:
    details = model.get("details")
    return ListedModel(
        model["name"],
        size=_size(model.get("size")),
        family=_text(details.get("family")) if isinstance(details, dict) else None,
        digest=_text(model.get("digest")),
        capabilities=_words(model.get("capabilities")),
        vram_bytes=_size(model.get("size_vram")),
        modified_s=_moment(model.get("modified_at")),
        is_remote=bool(model.get("remote_host")) or is_cloud_name(model["name"]),
        servers=_words(model.get("servers")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _moment(value: object) -> int | None:
    try:
        return int(datetime.fromisoformat(value).timestamp()) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _words(value: object) -> tuple[str, ...] | None:
    words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
    return tuple(words[:MAX_CAPABILITIES]) or None  # an empty list says as little as none
