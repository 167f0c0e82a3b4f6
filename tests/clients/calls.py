"""What is asked of the official clients: one table for Python, for asyncio and for JavaScript.

A call's arguments are the clients' own, which have the same names in both languages.
"""

import base64
from dataclasses import dataclass, field
from typing import Any, Final

PNG: Final = base64.b64encode(b"\x89PNG\r\n\x1a\n and the rest of a picture").decode()
HELLO: Final = [{"role": "user", "content": "hello"}]
CLOCK: Final = {
    "type": "function",
    "function": {
        "name": "clock",
        "description": "Tell the time",
        "parameters": {
            "type": "object",
            "required": ["tz"],
            "properties": {"tz": {"type": "string", "description": "where"}},
        },
    },
}
CALLED: Final = [
    *HELLO,
    {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "clock", "arguments": {"tz": "UTC"}}}]},
    {"role": "tool", "content": "12:00", "tool_name": "clock"},
]
CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}}}
EIGHT: Final = {"num_predict": 8, "temperature": 0.5, "seed": 7, "stop": ["never said"]}
NOT_OFFERED: Final = "not offered"
AT_THE_GATEWAY: Final = {"ps": frozenset({"no digests"}), "show": frozenset({"no modelfile"})}
"""By the call's name, what else is not the same at the gateway, which strangers may reach."""


@dataclass(frozen=True)
class Call:
    """One call of a client.

    Attributes:
        method: the client's.
        differs: what PROTOCOL.md names as not the same through us; empty: nothing is.
    """

    name: str
    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    differs: frozenset[str] = frozenset()

    @property
    def is_recorded(self) -> bool:
        """Whether it replays a recording, which names the model that was recorded."""
        return "_" in self.arguments.get("model", "")


def _both(name: str, method: str, *differs: str, **arguments: Any) -> list[Call]:
    """Return the call as a stream and as one object."""
    return [
        Call(
            f"{name}, {'streamed' if stream else 'whole'}", method, {**arguments, "stream": stream}, frozenset(differs)
        )
        for stream in (True, False)
    ]


def _recorded(method: str, case: str, *differs: str) -> Call:
    said = {"prompt": "hello"} if method == "generate" else {"messages": HELLO}
    return Call(f"recording {case}", method, {"model": case, **said, "stream": True}, frozenset(differs))


def _administration(method: str, **arguments: Any) -> Call:
    return Call(method, method, arguments, frozenset({NOT_OFFERED}))


CALLS: Final[list[Call]] = [
    *_both("generate", "generate", "context", model="story", prompt="hello"),
    *_both("generate with options", "generate", "context", model="sim:tokens=40", prompt="hello", options=EIGHT),
    *_both("generate with system, raw", "generate", model="story", prompt="hello", raw=True),
    *_both("generate with keep_alive", "generate", "context", model="story", prompt="hello", keep_alive="5m"),
    *_both("generate that thinks", "generate", "context", model="thinker", prompt="hello", think=True),
    *_both("generate in a format", "generate", "context", model="story", prompt="hello", format="json"),
    *_both("chat", "chat", model="story", messages=HELLO),
    *_both("chat of tokens of 2 KiB", "chat", model="sim:tokens=40,size=2048", messages=HELLO),
    *_both("chat that thinks", "chat", model="thinker", messages=HELLO, think=True),
    *_both("chat that thinks hard", "chat", model="thinker", messages=HELLO, think="high"),
    *_both("chat that may not think", "chat", model="thinker", messages=HELLO, think=False),
    *_both("chat in a format", "chat", model="story", messages=HELLO, format="json"),
    *_both("chat in a schema", "chat", model="story", messages=HELLO, format=CITY),
    *_both("chat that calls a tool", "chat", model="tooler", messages=HELLO, tools=[CLOCK]),
    *_both("chat that calls three tools", "chat", model="tooler:calls=3", messages=HELLO, tools=[CLOCK, CLOCK]),
    *_both("chat with a tool's result", "chat", model="tooler", messages=CALLED, tools=[CLOCK]),
    *_both("chat with an image", "chat", model="story", messages=[{**HELLO[0], "images": [PNG]}]),
    *_both("generate with an image", "generate", model="story", prompt="hello", images=[PNG]),
    *_both(
        "a model that cannot use tools", "chat", "no host in the words", model="story", messages=HELLO, tools=[CLOCK]
    ),
    *_both("a model that cannot think", "chat", model="story", messages=HELLO, think=True),
    *_both("a model that can only embed", "generate", model="embedder", prompt="hello"),
    *_both("an unknown model", "chat", model="nobody", messages=HELLO),
    Call("a failing model", "chat", {"model": "sim:status=500", "messages": HELLO}, frozenset({"status 500 is 502"})),
    Call("chat that fails midway", "chat", {"model": "sim:fault=error,at=3", "messages": HELLO, "stream": True}),
    _recorded("generate", "generate_stream", "context"),
    _recorded("generate", "generate_logprobs", "context", "logprobs"),
    _recorded("generate", "generate_think_true", "context"),
    _recorded("chat", "chat_tool_call"),
    _recorded("chat", "chat_native_tool_call"),
    _recorded("chat", "chat_native_think"),
    _recorded("chat", "chat_native_logprobs", "logprobs"),
    Call("list", "list"),
    Call("ps", "ps"),
    Call("show", "show", {"model": "thinker"}),
    Call("show an unknown model", "show", {"model": "nobody"}),
    _administration("pull", model="story"),
    _administration("push", model="story"),
    _administration("copy", source="story", destination="tale"),
    _administration("delete", model="story"),
    Call("embed", "embed", {"model": "embedder", "input": ["hello", "again"]}),
]
"""The differences: ``generate`` carries no `context`, nobody's `logprobs` are carried, and administration is absent."""

BREAKS: Final = {
    "ends without done": "sim:tokens=9,fault=truncate,at=3",
    "is reset": "sim:tokens=9,fault=reset,at=3",
    "ends inside a chunk": "sim:tokens=9,fault=cut,at=3",
}
"""Answers that break off in the middle: by what happens, the model that does it."""
