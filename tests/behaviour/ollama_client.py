"""What a client made for Ollama reads: lines, or one object."""

import json
from typing import Any, Final

from tests.reader import Answer

HELLO: Final[dict[str, dict[str, Any]]] = {
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "generate": {"prompt": "hi"},
}
SHAPES: Final = ("lines", "object")


def asking(kind: str, model: str, *, shape: str = "lines", **fields: Any) -> dict[str, Any]:
    """Return the body of a request to ``/api/<kind>``."""
    return {"model": model, **HELLO[kind], "stream": shape == "lines", **fields}


def lines_of(answer: Answer) -> list[dict[str, Any]]:
    """Return the whole lines that have come; a cut one is left out."""
    return [json.loads(line) for line in answer.body.split(b"\n")[:-1]]


def said(lines: list[dict[str, Any]]) -> str:
    """Return the text of lines, or of one object, of either kind."""
    return "".join(line.get("response") or line.get("message", {}).get("content", "") for line in lines)
