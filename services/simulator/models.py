"""The names that can be asked for: what is listed, what each can do, and what stands in tags, ps and show.

Built-in names are listed; every name may carry a script; a recording answers to its case's name and is not listed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.simulator.recordings import Recording
from services.simulator.script import Script, parse, split_name

CONTEXT_LENGTH: Final = 131_072
_SIZE_BYTES: Final = 4_096_000  # of the order of the smallest recorded model
_MODIFIED_AT: Final = "2026-11-21T07:12:29.518292659Z"  # one date for all: lists are sorted by it, newest first


@dataclass(frozen=True)
class BuiltIn:
    """A listed name: its script's own defaults, and what Ollama says it can do."""

    capabilities: tuple[str, ...]
    does: str


BUILT_IN: Final[Mapping[str, BuiltIn]] = {
    "sim": BuiltIn(("completion",), "says that it is the simulator and no model"),
    "story": BuiltIn(("completion",), "tells the story of the recordings"),
    "thinker": BuiltIn(("completion", "thinking"), "thinks, unless think is false, then answers"),
    "tooler": BuiltIn(("completion", "tools"), "calls the first tool that is offered; speaks after its result"),
    "viewer": BuiltIn(("completion", "vision"), "takes pictures, and says how many the last message held"),
    "embedder": BuiltIn(("embedding",), "can only embed: 400 on generate and chat"),
}


@dataclass(frozen=True)
class Model:
    """A name that was found: ``base`` says which, ``script`` how it behaves, ``recording`` what it replays."""

    name: str
    base: str
    script: Script
    capabilities: tuple[str, ...]
    recording: Recording | None = None

    @property
    def full_name(self) -> str:
        """The name with a tag, as tags and ps show it, however it was asked for."""
        name = _short(self.name)
        return name if ":" in name else f"{name}:latest"


def find(name: str, start: Script, recordings: Mapping[str, Recording]) -> Model | None:
    """Return the model called ``name``, None if there is none.

    Raises:
        ScriptError: there is one, and its parameters cannot be read.
    """
    base, parameters = split_name(_short(name))
    recording = recordings.get(base)
    if base not in BUILT_IN and recording is None:
        return None
    script = parse(parameters, start)
    known = BUILT_IN[base].capabilities if base in BUILT_IN else ("completion", "tools", "thinking")
    return Model(name, base, script, _with_scripted(known, script), recording)


def _short(name: str) -> str:
    """Return the name without the default registry and its namespace, its model in lower case: Ollama has no other."""
    path, colon, tag = name.partition(":")
    return path.lower().removeprefix("registry.ollama.ai/").removeprefix("library/") + colon + tag


def tags() -> dict[str, Any]:
    """Return the body of GET /api/tags."""
    return {"models": [_card(name, built_in.capabilities) for name, built_in in BUILT_IN.items()]}


def ps_entry(name: str, expires_at: str, num_ctx: int) -> dict[str, Any]:
    """Return one model of GET /api/ps."""
    return {
        "name": name,
        "model": name,
        "size": _SIZE_BYTES,
        "digest": digest(name),
        "details": _details(),
        "expires_at": expires_at,
        "size_vram": 0,
        "context_length": num_ctx,
    }


def show(model: Model) -> dict[str, Any]:
    """Return the body of POST /api/show."""
    template = "{{ .Prompt }}"
    return {
        "modelfile": f"# {model.full_name} of the simulator: no file, no weights\nTEMPLATE {template}\n",
        "template": template,
        "details": _details(),
        "model_info": {
            "general.architecture": "simulator",
            "general.parameter_count": 0,
            "simulator.context_length": CONTEXT_LENGTH,
            "simulator.embedding_length": 512,
        },
        "tensors": [],
        "capabilities": list(model.capabilities),
        "modified_at": _MODIFIED_AT,
    }


def digest(name: str) -> str:
    """Return the digest that stands for ``name``: no weights are behind it."""
    return hashlib.sha256(name.encode()).hexdigest()


def _with_scripted(known: tuple[str, ...], script: Script) -> tuple[str, ...]:
    extra = {"tools": bool(script.calls), "thinking": bool(script.think)}
    return known + tuple(name for name, wanted in extra.items() if wanted and name not in known)


def _card(base: str, capabilities: tuple[str, ...]) -> dict[str, Any]:
    name = f"{base}:latest"
    return {
        "name": name,
        "model": name,
        "modified_at": _MODIFIED_AT,
        "size": _SIZE_BYTES,
        "digest": digest(name),
        "details": _details() | {"context_length": CONTEXT_LENGTH, "embedding_length": 512},
        "capabilities": list(capabilities),
    }


def _details() -> dict[str, Any]:
    return {
        "parent_model": "",
        "format": "none",
        "family": "simulator",
        "families": ["simulator"],
        "parameter_size": "0",
        "quantization_level": "none",
    }
