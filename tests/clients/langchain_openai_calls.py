"""Makes the calls that come as JSON on stdin by LangChain's ChatOpenAI, and prints what it made of them.

Both of OpenAI's APIs are asked; what is asked has the form of a chat. In and out as tests/clients/openai_calls.py says.
Run by an environment that has the client (tests/client_environment.py), so it imports nothing of ours.
"""

import json
import os
import sys
from contextlib import closing
from typing import Any

import openai
from langchain_openai import ChatOpenAI

KEY = os.environ.get("API_KEY", "of nobody")
LEAVES_AFTER = 4


def made(url: str, call: dict[str, Any]) -> dict[str, Any]:
    outcome: dict[str, Any] = {"text": "", "thinking": "", "calls": [], "finish": None, "usage": None, "pieces": 0}
    outcome["error"] = None
    given = dict(call["arguments"])
    model, messages = given.pop("model"), given.pop("messages")
    chat = ChatOpenAI(
        model=model,
        base_url=f"{url}/v1",
        api_key=KEY,
        timeout=20,
        max_retries=2,
        stream_usage=True,
        use_responses_api=call["api"] == "responses",
    )
    try:
        if call["how"] == "whole":
            _take(chat.invoke(messages, **given), outcome)
        else:
            whole = None
            with closing(chat.stream(messages, **given)) as stream:
                for part in stream:
                    outcome["pieces"] += 1
                    whole = part if whole is None else whole + part
                    if call["how"] == "leave" and outcome["pieces"] == LEAVES_AFTER:
                        return outcome
            _take(whole, outcome)
    except (openai.OpenAIError, ValueError) as exc:
        outcome["error"] = {
            "class": type(exc).__name__,
            "status": getattr(exc, "status_code", None),
            "code": getattr(exc, "code", None),
            "message": str(exc),
        }
    return outcome


def _take(message: Any, outcome: dict[str, Any]) -> None:
    outcome["text"] = message.text
    for call in message.tool_calls:
        outcome["calls"].append({"id": call["id"], "name": call["name"], "arguments": json.dumps(call["args"])})
    told = message.response_metadata
    outcome["finish"] = told.get("finish_reason") or told.get("status")
    usage = message.usage_metadata
    outcome["usage"] = usage and [usage["input_tokens"], usage["output_tokens"]]


if __name__ == "__main__":
    json.dump([made(sys.argv[1], call) for call in json.load(sys.stdin)], sys.stdout)
