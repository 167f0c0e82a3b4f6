"""Makes the calls that come as JSON on stdin by LiteLLM, and prints what it made of them.

In and out as tests/clients/openai_calls.py says; of OpenAI's APIs it is asked by the older one.
Run by an environment that has the client (tests/client_environment.py), so it imports nothing of ours.
"""

import gc
import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would fetch its prices

import litellm

KEY = os.environ.get("API_KEY", "of nobody")
LEAVES_AFTER = 4


def made(url: str, call: dict[str, Any]) -> dict[str, Any]:
    outcome: dict[str, Any] = {"text": "", "thinking": "", "calls": [], "finish": None, "usage": None, "pieces": 0}
    outcome["error"] = None
    given = {**call["arguments"], "model": f"{call.get('provider', 'hosted_vllm')}/{call['arguments']['model']}"}
    place = {"api_base": f"{url}/v1", "api_key": KEY, "timeout": 20, "max_retries": 2}
    try:
        if call["how"] == "whole":
            _take(litellm.completion(**given, **place), outcome)
        else:
            stream = litellm.completion(**given, **place, stream=True)
            parts = []
            for part in stream:
                outcome["pieces"] += 1
                parts.append(part)
                if call["how"] == "leave" and outcome["pieces"] == LEAVES_AFTER:
                    stream.close()
                    return outcome
            _take(litellm.stream_chunk_builder(parts), outcome)
    except Exception as exc:  # noqa: BLE001 what it raises has no base of its own
        outcome["error"] = _told(exc)
    return outcome


def _told(exc: Exception) -> dict[str, Any]:
    return {"class": type(exc).__name__, "status": getattr(exc, "status_code", None), "code": None, "message": str(exc)}


def _take(completion: Any, outcome: dict[str, Any]) -> None:
    (choice,) = completion.choices
    outcome["text"] = choice.message.content or ""
    outcome["thinking"] = getattr(choice.message, "reasoning_content", None) or ""
    outcome["finish"] = choice.finish_reason
    for call in choice.message.tool_calls or ():
        outcome["calls"].append({"id": call.id, "name": call.function.name, "arguments": call.function.arguments})


if __name__ == "__main__":
    # An older LiteLLM leaves a stream that ended in an error to the collector. Where that runs inside httpcore's pool,
    # whose lock its thread then takes a second time, the program waits for ever (encode/httpcore#990): 5 of 60 did.
    gc.disable()
    json.dump([made(sys.argv[1], call) for call in json.load(sys.stdin)], sys.stdout)
