"""What a client made for OpenAI asks and reads, on both of its routes, byte for byte."""

import base64
import json
from typing import Any, Final

from tests.reader import Answer

CHAT: Final = "/v1/chat/completions"
RESPONSES: Final = "/v1/responses"
PATHS: Final = (CHAT, RESPONSES)
PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n and the rest of a picture").decode()
_SAID: Final[dict[str, dict[str, Any]]] = {
    CHAT: {"messages": [{"role": "user", "content": "hi"}]},
    RESPONSES: {"input": "hi"},
}


def asking(path: str, model: str, *, stream: bool = True, **fields: Any) -> dict[str, Any]:
    """Return the body of a request to one of the routes."""
    return {"model": model, **_SAID[path], "stream": stream, **fields}


def objects(answer: Answer) -> list[dict[str, Any]]:
    """Return the objects of a stream, but for the terminator."""
    return [json.loads(event.data) for event in answer.events if event.data != "[DONE]"]


def said(path: str, answer: Answer) -> str:
    """Return the text of a stream."""
    if path == CHAT:
        deltas = [one["choices"][0]["delta"] for one in objects(answer) if one.get("choices")]
        return "".join(delta.get("content") or "" for delta in deltas)
    return "".join(one["delta"] for one in objects(answer) if one["type"] == "response.output_text.delta")


def error_of(path: str, answer: Answer) -> dict[str, Any]:
    """Return the error that a stream ends with, after which nothing may follow; it may claim no finish."""
    if path == CHAT:
        *before, last = answer.events
        assert not [one for one in objects(answer)[:-1] if one["choices"][0]["finish_reason"]]
        assert "[DONE]" not in {event.data for event in (*before, last)}
        error: dict[str, Any] = json.loads(last.data)["error"]
        return error
    kinds = [one["type"] for one in objects(answer)]
    assert kinds[-2:] == ["error", "response.failed"]
    assert not {"response.completed", "response.incomplete"} & set(kinds)
    told: dict[str, Any] = objects(answer)[-2]["error"]
    return told


def is_whole(path: str, answer: Answer) -> bool:
    """Whether a stream ends as one that is whole."""
    if path == CHAT:
        return answer.events[-1].data == "[DONE]"
    return bool(objects(answer)[-1]["type"] == "response.completed")


def refused_as_openai(answer: Answer, status: int) -> dict[str, Any]:
    """Assert that an answer is a refusal in OpenAI's shape, and return its error."""
    page = json.loads(answer.body)
    error: dict[str, Any] = page["error"]
    assert answer.status == status
    assert page.keys() == {"error"}
    assert error.keys() == {"message", "type", "param", "code"}
    assert answer.headers["request-id"] == answer.headers["X-Request-Id"]
    return error
