"""Groq's language: OpenAI's, with a few words of its own. Pure.

Its usage comes on the finish chunk; its reasoning in ``reasoning``, where that is asked for; and an answer
by a schema comes only whole.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from proxy.providers import openai_refusal, openai_request
from proxy.providers.adapter import AttemptFailed, Question, UpstreamRequest
from proxy.providers.openai import OpenAIAdapter
from services.wire.events import Code

_PARSED: Final = {"reasoning_format": "parsed"}
"""Reasoning apart from the text, whether or not it was wished for: else ``<think>`` would lie in the text."""
_APART: Final = ("deepseek-r1", "qwen-qwq", "qwen3", "kimi-k2-thinking", "magistral")
_GPT_OSS: Final = "gpt-oss"
_SWITCHED: Final = "qwen3"
"""This family knows two efforts: none, and its own."""
_EFFORTS: Final[Mapping[bool | str, str]] = {False: "low", True: "medium", "low": "low", "medium": "medium"}


class GroqAdapter(OpenAIAdapter):
    """One call of Groq."""

    name: ClassVar = "groq"

    def request(self) -> UpstreamRequest:
        """Return what asks the model."""
        return answer_request(self._question)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> AttemptFailed:
        """Return what an answer with another status than 200 means: a 400 may be for how reasoning was asked for."""
        refusal = openai_refusal.refusal(status, headers, body, self._question)
        name = next((name for name in _reasoning(self._question) if name not in self._question.without), None)
        about_reasoning = "reasoning" in refusal.failed.message.lower()
        if refusal.failed.code is Code.INVALID_REQUEST and name and about_reasoning and refusal.without is None:
            return replace(refusal, without=name, next=True)
        return refusal


def answer_request(question: Question) -> UpstreamRequest:
    """Return what asks for an answer."""
    request = question.request
    body = openai_request.asked_body(question, provider="groq")
    if "max_tokens" in body:
        body["max_completion_tokens"] = body.pop("max_tokens")
    body.pop("reasoning_effort", None)
    reasoning = _reasoning(question)
    body |= reasoning
    body["stream"] = question.stream and not isinstance(request.format, Mapping)
    dropped = openai_request.dropped_of(request, sent=body, thinks=bool(reasoning))
    return openai_request.posted(question, body, dropped)


def _reasoning(question: Question) -> dict[str, Any]:
    """Return how reasoning is asked for, by the family of the model; the last name is left out first."""
    family, think = question.model.rpartition("/")[2].lower(), question.request.think
    if family.startswith(_GPT_OSS):
        said = {} if think is None else {"reasoning_effort": _EFFORTS.get(think, "high")}
        return {"include_reasoning": think is not False, **said}
    if not family.startswith(_APART):
        return {}
    effort = None if think is None or not family.startswith(_SWITCHED) else "default" if think else "none"
    return _PARSED if effort is None else {**_PARSED, "reasoning_effort": effort}
