"""Asks by the providers' own packages, and prints what each made of its stream.

    python provider_packages_calls.py <base url> < ["openai/0", "groq/1", ...]
    -> {"openai/0": [text, thinking, [[name, arguments], ...], [input tokens, output tokens], finish], ...}

Run by an environment that has them (tests/client_environment.py), so it imports nothing of ours.
"""

import json
import sys
from typing import Any

import anthropic
import groq
import openai
from google import genai
from google.genai import types

Said = tuple[str, str, list[Any], list[int] | None, str | None]
HI: Any = [{"role": "user", "content": "hi"}]


def of_openai(client: Any) -> Said:
    text, thinking, usage, finish = "", "", None, None
    calls: dict[int, list[str]] = {}
    for chunk in client.chat.completions.create(model="m", messages=HI, stream=True):
        extra = getattr(chunk, "x_groq", None)
        usage = chunk.usage or getattr(extra, "usage", None) or usage
        for choice in chunk.choices:
            delta = choice.delta
            text += delta.content or ""
            thinking += getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None) or ""
            for part in delta.tool_calls or []:
                call = calls.setdefault(part.index, ["", ""])
                call[0] = call[0] or part.function.name or ""
                call[1] += part.function.arguments or ""
            finish = choice.finish_reason or finish
    given, made, total = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) if usage else (0, 0, 0)
    counts = usage and [given, max(made, total - given)]
    return text, thinking, [[name, json.loads(arguments or "{}")] for name, arguments in calls.values()], counts, finish


def of_anthropic(client: Any) -> Said:
    with client.messages.stream(model="m", max_tokens=9, messages=HI) as stream:
        message = stream.get_final_message()

    def said(kind: str, field: str) -> str:
        return "".join(getattr(block, field) for block in message.content if block.type == kind)

    calls = [[block.name, block.input] for block in message.content if block.type == "tool_use"]
    counts = message.usage
    given = counts.input_tokens + (counts.cache_creation_input_tokens or 0) + (counts.cache_read_input_tokens or 0)
    return said("text", "text"), said("thinking", "thinking"), calls, [given, counts.output_tokens], message.stop_reason


def of_gemini(client: Any) -> Said:
    text, thinking, counts, finish = "", "", None, None
    calls: list[Any] = []
    for chunk in client.models.generate_content_stream(model="m", contents="hi"):
        counts = chunk.usage_metadata or counts
        for candidate in chunk.candidates or []:
            for part in (candidate.content and candidate.content.parts) or []:
                if part.function_call:
                    calls.append([part.function_call.name, part.function_call.args or {}])
                elif part.thought:
                    thinking += part.text or ""
                else:
                    text += part.text or ""
            finish = candidate.finish_reason or finish
    made = counts and (counts.candidates_token_count or 0) + (counts.thoughts_token_count or 0)
    return text, thinking, calls, counts and [counts.prompt_token_count, made], finish and finish.value


def asked(kind: str, url: str) -> Said:
    match kind:
        case "openai":
            return of_openai(openai.OpenAI(api_key="k", base_url=url, max_retries=0))
        case "groq":
            return of_openai(groq.Groq(api_key="k", base_url=url, max_retries=0))
        case "anthropic":
            return of_anthropic(anthropic.Anthropic(api_key="k", base_url=url, max_retries=0))
    return of_gemini(genai.Client(api_key="k", http_options=types.HttpOptions(base_url=url)))


def main() -> None:
    asked_for = json.load(sys.stdin)
    print(json.dumps({name: asked(name.partition("/")[0], f"{sys.argv[1]}/{name}") for name in asked_for}))


if __name__ == "__main__":
    main()
