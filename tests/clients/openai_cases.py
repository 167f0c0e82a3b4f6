"""What is asked of OpenAI's clients, and what has to come of it: one table for both of its APIs and every client."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from tests.clients.calls import PNG

APIS: Final = ("chat", "responses")
WAYS: Final = ("whole", "stream", "helper")
SEEDED: Final = ("sim", "thinker", "tooler", "viewer", "story")
CITY: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
INPUT: Final = {"city": "Reykjavík", "people": 3}
_NAMED: Final = {"name": "clock", "description": "Tell the time", "parameters": CITY, "strict": True}
_ARGUMENTS: Final = '{"city":"Reykjavík","people":3}'
_URL: Final = f"data:image/png;base64,{PNG}"
_ADDRESS: Final = "https://example.org/a.png"


def _user(part: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [part]}


FIELDS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "tools": {
        "chat": {"tools": [{"type": "function", "function": _NAMED}]},
        "responses": {"tools": [{"type": "function", **_NAMED}]},
    },
    "forced": {
        "chat": {"tool_choice": {"type": "function", "function": {"name": "clock"}}},
        "responses": {"tool_choice": {"type": "function", "name": "clock"}},
    },
    "result": {
        "chat": {
            "messages": [
                {"role": "user", "content": "hello"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "clock", "arguments": _ARGUMENTS}}
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "12:00"},
            ]
        },
        "responses": {
            "input": [
                {"role": "user", "content": "hello"},
                {"type": "function_call", "call_id": "c1", "name": "clock", "arguments": _ARGUMENTS},
                {"type": "function_call_output", "call_id": "c1", "output": "12:00"},
            ]
        },
    },
    "picture": {
        "chat": {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": _URL}}]}]},
        "responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": _URL}]}]},
    },
    "short": {"chat": {"max_completion_tokens": 5}, "responses": {"max_output_tokens": 5}},
    "an image's address": {
        "chat": {"messages": [_user({"type": "image_url", "image_url": {"url": _ADDRESS}})]},
        "responses": {"input": [_user({"type": "input_image", "image_url": _ADDRESS})]},
    },
    "17 images": {
        "chat": {"messages": [_user({"type": "image_url", "image_url": {"url": _URL}})] * 17},
        "responses": {"input": [_user({"type": "input_image", "image_url": _URL})] * 17},
    },
    "a result without a call": {
        "chat": {"messages": [{"role": "tool", "tool_call_id": "c1", "content": "12:00"}]},
        "responses": {"input": [{"type": "function_call_output", "call_id": "c1", "output": "12:00"}]},
    },
    "arguments that are no JSON": {
        "chat": {
            "messages": [
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "clock", "arguments": "{"}}],
                }
            ]
        },
        "responses": {"input": [{"type": "function_call", "call_id": "c1", "name": "clock", "arguments": "{"}]},
    },
    "a forced tool among several": {
        "chat": {"tools": [{"type": "function", "function": _NAMED}] * 2, "tool_choice": "required"},
        "responses": {"tools": [{"type": "function", **_NAMED}] * 2, "tool_choice": "required"},
    },
    "several": {"chat": {"n": 2}, "responses": {"previous_response_id": "resp_1"}},
    "schema": {
        "chat": {
            "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY, "strict": True}}
        },
        "responses": {"text": {"format": {"type": "json_schema", "name": "city", "schema": CITY, "strict": True}}},
    },
}
_SAID: Final[dict[str, dict[str, Any]]] = {
    "chat": {"messages": [{"role": "user", "content": "hello"}]},
    "responses": {"input": "hello"},
}


@dataclass(frozen=True)
class Case:
    """A call, and what has to come of it.

    Attributes:
        fields: names of :data:`FIELDS`.
        calls: how often the model server is asked; None where that is not the point.
    """

    name: str
    model: str
    api: str
    how: str
    fields: tuple[str, ...] = ()
    expected: dict[str, Any] = field(default_factory=dict)
    calls: int | None = None

    @property
    def title(self) -> str:
        """How the table calls it."""
        return f"{self.name}, {self.api} {self.how}"

    def model_name(self, seed: int) -> str:
        """Return the model's name: with a seed that makes it this case's own, where it may have one."""
        if self.model.partition(":")[0] not in SEEDED:
            return self.model
        return f"{self.model}{',' if ':' in self.model else ':'}seed={seed}"

    def asked(self, seed: int) -> dict[str, Any]:
        """Return the call as a client's program reads it."""
        fields: dict[str, Any] = {}
        for name in self.fields:
            fields |= FIELDS[name][self.api]
        arguments = {"model": self.model_name(seed), **_SAID[self.api], **fields}
        return {"how": self.how, "api": self.api, "arguments": arguments}


def _everywhere(name: str, model: str, *fields: str, calls: int | None = None, **expected: Any) -> list[Case]:
    return [Case(name, model, api, how, fields, expected, calls) for api in APIS for how in WAYS]


def _twice(name: str, model: str, *, calls: int | None = None, **expected: Any) -> list[Case]:
    """Return what takes its time: asked once of each API, in two ways."""
    return [Case(name, model, api, how, (), expected, calls) for api, how in zip(APIS, WAYS, strict=False)]


def _whole(name: str, model: str, *, calls: int | None = None, **expected: Any) -> list[Case]:
    """Return what is refused after the proxy asked again: a stream's headers may have left by then."""
    return [Case(name, model, api, "whole", (), expected, calls) for api in APIS]


def _broken(name: str, model: str) -> list[Case]:
    """Return an answer that breaks off: an exception by every road, the text so far by the plain one."""
    broken = {"raises": True, "finish": None}
    streamed = [Case(name, model, api, how, (), broken) for api in APIS for how in WAYS[1:]]
    whole = [Case(name, model, api, "whole", (), {"raises": True, "status": 502}, 1) for api in APIS]
    return streamed + whole


WRONG: Final = (
    "an image's address",
    "17 images",
    "a result without a call",
    "arguments that are no JSON",
    "a forced tool among several",
)
CASES: Final = [
    *_everywhere("text", "story", finish="stop", said=True, error=None),
    *_everywhere("thinking", "thinker", thinks=True, finish="stop"),
    *_everywhere("one tool", "tooler", "tools", finish="called", inputs=[INPUT], text=""),
    *_everywhere("two tools", "tooler:calls=2", "tools", finish="called", inputs=[INPUT] * 2, text=""),
    *_everywhere("a tool's result", "tooler", "tools", "result", said=True, finish="stop"),
    *_everywhere("a forced tool", "sim", "tools", "forced", finish="called", inputs=[INPUT], text=""),
    *_everywhere("a schema", "sim", "schema", json=INPUT, finish="stop"),
    *_everywhere("a picture", "viewer", "picture", text="Pictures in the last message: 1.", finish="stop"),
    *_twice("a slow model", "story:prefill=1", finish="stop", said=True),
    *(
        Case("cut at its length", "sim:tokens=50", api, how, ("short",), {"finish": "length"})
        for api in APIS
        for how in WAYS[:2]
    ),
    *_everywhere("an unknown model", "nobody", status=404, code="model_not_found", exception="NotFoundError"),
    *(
        Case("a call in pieces of three bytes", "tooler:piece=3", api, how, ("tools",), {"inputs": [INPUT]})
        for api in APIS
        for how in WAYS[:2]
    ),
    *(
        Case(name, "tooler", api, "whole", (name,), {"status": 400, "exception": "BadRequestError"}, 0)
        for api in APIS
        for name in WRONG
    ),
    *_everywhere("not offered", "sim", "several", calls=0, status=400, exception="BadRequestError"),
    *_whole("a failing model server", "sim:status=500", status=502, exception="InternalServerError"),
    *_whole("an absent model server", "sim:status=503", calls=3, status=503, exception="InternalServerError"),
    *_broken("an error in the stream", "sim:tokens=9,fault=error,at=3"),
    *_broken("cut short", "sim:tokens=9,fault=truncate,at=3"),
    *(Case("left in the middle", "sim:tokens=5000,rate=100", api, "leave", (), {"error": None}) for api in APIS),
]
_FINISHES: Final = {"stop": "stop", "length": "length", "tool_calls": "called", "incomplete": "length"}


def facts(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return what can be expected of an outcome, whichever client's and whichever API's it is."""
    error = outcome["error"] or {}
    finish = "called" if outcome["finish"] == "completed" and outcome["calls"] else outcome["finish"]
    return {
        "text": outcome["text"],
        "said": bool(outcome["text"]),
        "json": _parsed(outcome["text"]),
        "thinks": bool(outcome["thinking"]),
        "inputs": [json.loads(call["arguments"]) for call in outcome["calls"]],
        "finish": {**_FINISHES, "completed": "stop"}.get(finish, finish),
        "raises": bool(error),
        "error": outcome["error"],
        "exception": error.get("class"),
        "status": error.get("status"),
        "code": error.get("code"),
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
