"""Makes the calls that come as JSON on stdin by Anthropic's own client, and prints what it made of them.

    python anthropic_calls.py <base url> < [{"how": "whole|stream|helper|count|leave", "arguments": {…}}, …]
    -> [{"message": {…} | null, "events": ["message_start", …], "error": {…} | null}, …]

Run by an environment that has the client (tests/client_environment.py), so it imports nothing of ours.
"""

import json
import os
import sys
from typing import Any

import anthropic
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

KEY = os.environ.get("API_KEY", "of nobody")
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
MESSAGE: TypeAdapter[Any] = TypeAdapter(Message)


def made(client: Any, call: dict[str, Any]) -> dict[str, Any]:
    outcome: dict[str, Any] = {"message": None, "events": [], "error": None}
    try:
        outcome["message"] = _ask(client, call["how"], call["arguments"], outcome["events"])
    except (anthropic.APIError, ValueError) as exc:
        outcome["error"] = _told(exc)
    return outcome


def _ask(client: Any, how: str, arguments: dict[str, Any], events: list[str]) -> Any:
    if how == "count":
        return client.messages.count_tokens(**arguments).model_dump()
    if how == "whole":
        return _valid(client.messages.create(**arguments))
    if how == "helper":
        with client.messages.stream(**arguments) as stream:
            events.extend(event.type for event in stream)
            return _valid(stream.get_final_message())
    with client.messages.create(**arguments, stream=True) as stream:
        for event in stream:
            EVENT.validate_python(event.model_dump(exclude_unset=True, warnings=False))  # the client does not check
            events.append(event.type)
            if how == "leave" and len(events) == 4:
                return None
    return None


def _valid(message: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = message.model_dump(mode="json", exclude_none=True, warnings=False)
    MESSAGE.validate_python(dumped)
    return dumped


def _told(exc: Exception) -> dict[str, Any]:
    body = getattr(exc, "body", None)
    error = body.get("error", {}) if isinstance(body, dict) else {}
    return {
        "class": type(exc).__name__,
        "status": getattr(exc, "status_code", None),
        "type": error.get("type"),
        "message": error.get("message") or str(exc),
        "request_id": getattr(exc, "request_id", None),
    }


def main() -> None:
    """Make them all by one client; it repeats nothing but what says that it may be repeated."""
    client = anthropic.Anthropic(base_url=sys.argv[1], api_key=KEY, timeout=20, max_retries=2)
    json.dump([made(client, call) for call in json.load(sys.stdin)], sys.stdout)


if __name__ == "__main__":
    main()
