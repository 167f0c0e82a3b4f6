"""What Ollama refuses once it knows which model is asked for, in its order, with its words."""

from typing import Any, Final

from services.simulator.models import Model
from services.simulator.validation import Ask, InvalidRequest, refuse_options

_NO_VISION: Final = (
    '{"error":{"code":400,"message":"Multimodal data provided, but model does not support multimodal requests.",'
    '"type":"invalid_request_error"}}'
)
_CLOUD_ENDINGS: Final = (":cloud", "-cloud")


def refuse_name(endpoint: str, name: str, is_name: bool) -> None:
    """Refuse a name that cannot be one.

    Raises:
        InvalidRequest: 400, 403 or 404; no name at all is another error on each endpoint.
    """
    if not name:
        raise (
            InvalidRequest(400, "model is required")
            if endpoint == "chat"
            else InvalidRequest(404, "model '' not found")
        )
    if not is_name:
        raise InvalidRequest(400, "invalid model name")
    if name.endswith(_CLOUD_ENDINGS):
        raise InvalidRequest(403, "ollama cloud is disabled: remote model is unavailable")


def found(model: Model | None, name: str) -> Model:
    """Return ``model``.

    Raises:
        InvalidRequest: 404, there is none.
    """
    if model is None:
        raise InvalidRequest(404, f"model '{name}' not found")
    return model


def refuse_capabilities(model: Model, ask: Ask) -> None:
    """Refuse what the model cannot do, and options of the wrong type.

    Raises:
        InvalidRequest: 400, and 500 for an option.
    """
    able = model.capabilities
    if ask.raw and ask.has_system:
        raise InvalidRequest(400, "raw mode does not support template, system, or context")
    if "completion" not in able:
        raise InvalidRequest(400, f'"{ask.model}" does not support {ask.endpoint}')
    for asked, needed in ((ask.suffix, "insert"), (bool(ask.tools), "tools")):
        if asked and needed not in able:
            raise InvalidRequest(400, f"registry.ollama.ai/library/{model.full_name} does not support {needed}")
    if ask.think and "thinking" not in able:
        raise InvalidRequest(400, f'"{ask.model}" does not support thinking')
    refuse_options(ask.options)


def refuse_images(model: Model, ask: Ask) -> None:
    """Refuse an image as llama-server does, once the model is loaded, where it does not see.

    Raises:
        InvalidRequest: 400, its text JSON inside JSON.
    """
    if ask.images and "vision" not in model.capabilities:
        raise InvalidRequest(400, _NO_VISION)


def empty_answer(ask: Ask, reason: str, created_at: str) -> dict[str, Any]:
    """Return the answer to a request that says nothing: it loads or unloads the model."""
    said = {"message": {"role": "assistant", "content": ""}} if ask.endpoint == "chat" else {"response": ""}
    return {"model": ask.model, "created_at": created_at, **said, "done": True, "done_reason": reason}
