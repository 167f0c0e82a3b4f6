"""What /api/embed and /api/embeddings answer: vectors that are the same for the same text, and mean nothing."""

import hashlib
import math
import time
from collections.abc import Sequence
from typing import Any, Final

from services.simulator import gojson
from services.simulator.gojson import GoError, Shape
from services.simulator.models import Model
from services.simulator.validation import InvalidRequest

DIMENSIONS: Final = 512
_SHAPES: Final = {
    "/api/embed": Shape("EmbedRequest", {
        "model": "string", "input": None, "dimensions": "int", "truncate": "bool", "options": "map[string]interface {}",
        "keep_alive": None,
    }),
    "/api/embeddings": Shape("EmbeddingRequest", {
        "model": "string", "prompt": "string", "options": "map[string]interface {}", "keep_alive": None,
    }),
}  # fmt: skip
PATHS: Final = frozenset(_SHAPES)


def read_fields(path: str, body: bytes) -> dict[str, Any]:
    """Return the fields of a body.

    Raises:
        InvalidRequest: the body is none, or not of the route's form.
    """
    if not body:
        raise InvalidRequest(400, "missing request body")
    try:
        return gojson.fill(gojson.decode(body), _SHAPES[path])
    except GoError as exc:
        raise InvalidRequest(400, str(exc)) from None


def answer(path: str, model: Model, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the answer.

    Raises:
        InvalidRequest: the model does not embed (recording embed_story), or the input is of another form.
    """
    began_ns = time.monotonic_ns()
    if "embedding" not in model.capabilities:
        raise InvalidRequest(501, "This server does not support embeddings. Start it with `--embeddings`")
    if path == "/api/embeddings":
        return {"embedding": _vector(fields.get("prompt", ""), DIMENSIONS) if fields.get("prompt") else []}
    texts = _texts(fields.get("input"))
    vectors = [_vector(text, fields.get("dimensions") or DIMENSIONS) for text in texts]
    return {
        "model": model.name,
        "embeddings": vectors,
        "total_duration": time.monotonic_ns() - began_ns,
        "load_duration": 0,
        "prompt_eval_count": sum(1 + (len(text) + 3) // 4 for text in texts),
    }


def _texts(given: Any) -> Sequence[str]:
    texts = [given] if isinstance(given, str) and given else given or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise InvalidRequest(400, "invalid input type")
    return texts


def _vector(text: str, dimensions: int) -> list[float]:
    """Return a unit vector that the text alone decides."""
    seed = hashlib.shake_128(text.encode("utf-8", "replace")).digest(min(dimensions, DIMENSIONS))
    numbers = [byte - 127.5 for byte in seed]
    length = math.hypot(*numbers)
    return [round(number / length, 6) for number in numbers]
