"""The AI SDK, unmodified, at the gateway: a page's chat with resume and stop, and its providers for others' servers.

The newest, and that of a year before.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from services.simulator.speech import SHOWN
from tests.chain import Chain
from tests.client_environment import node, packages
from tests.clients.calls import PNG
from tests.clients.outcome import Row
from tests.clients.programs import AT_MOST, Making, beside_each_other, made
from tests.eventually import eventually

pytestmark = AT_MOST
HERE: Final = Path(__file__).parent
CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}}}
CITY_SAID: Final = {"city": "Reykjavík", "people": 3}
CLOCK: Final = {"type": "function", "function": {"name": "clock", "parameters": CITY}}
TOOL: Final = {"name": "clock", "schema": CITY}
PICTURE: Final = {"type": "file", "mediaType": "image/png", "url": f"data:image/png;base64,{PNG}"}
SEEN: Final = [{"role": "user", "content": [{"type": "file", "mediaType": "image/png", "data": PNG}]}]
LONG: Final = "sim:tokens=60,rate=60"
ENDLESS: Final = "sim:tokens=5000,rate=60"
CALLED: Final = {
    "type": "dynamic-tool",
    "toolName": "clock",
    "toolCallId": "c1",
    "state": "output-available",
    "input": CITY_SAID,
    "output": "12:00",
}
CONTINUED: Final = [
    {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "hello"}]},
    {"id": "m1", "role": "assistant", "parts": [{"type": "step-start"}, CALLED]},
]


@dataclass(frozen=True)
class Case:
    """A call, and what :func:`facts` has to say of its outcome."""

    name: str
    how: str
    model: str
    fields: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, Any] = field(default_factory=dict)

    def asked(self, lock: str) -> dict[str, Any]:
        """Return the call as the client's program reads it; each client's chats have names of their own."""
        named = {"id": f"{self.fields['id']}-{lock}"} if "id" in self.fields else {}
        return {"how": self.how, "arguments": {"model": self.model, **self.fields, **named}}


def by_provider(provider: str, seed: int) -> list[Case]:
    """Return the calls of the SDK's own functions, by one of its providers for others' servers."""
    tools = {"tools": [TOOL]}
    called = {"finish": "tool-calls", "inputs": [CITY_SAID]}
    asked: list[tuple[str, str, str, dict[str, Any], dict[str, Any]]] = [
        ("streamText", "stream", "sim:tokens=8", {}, {"finish": "stop", "output": 9}),
        ("streamText with tools", "stream", "tooler:calls=2", tools, called | {"inputs": [CITY_SAID] * 2}),
        ("streamText that fails", "stream", "sim:tokens=9,fault=error,at=3", {}, {"failed": True}),
        ("streamText cut short", "stream", "sim:tokens=9,fault=truncate,at=3", {}, {"failed": True}),
        ("generateText", "generate", "sim:tokens=8", {}, {"finish": "stop", "output": 9}),
        ("generateText with a tool", "generate", "tooler", tools, called),
        ("generateText of nobody", "generate", "nobody", {}, {"failed": True}),
        ("generateText with a picture", "generate", "viewer", {"messages": SEEN}, {"text": SHOWN.format(count=1)}),
        ("generateText of a slow model", "generate", "sim:prefill=1,tokens=3", {}, {"finish": "stop", "output": 4}),
        ("generateObject", "object", "sim", {"schema": CITY}, {"object": CITY_SAID}),
        ("streamText that is left", "leave", "sim:tokens=5000,rate=100", {}, {"failed": False}),
    ]
    return [
        Case(f"{name}, {provider}", how, _seeded(model, seed + index), {"provider": provider, **fields}, expected)
        for index, (name, how, model, fields, expected) in enumerate(asked)
    ]


def _seeded(model: str, seed: int) -> str:
    """Return a model that nobody else asks, but for the one that is not there."""
    return model if model == "nobody" else f"{model}{',' if ':' in model else ':'}seed={seed}"


CASES: Final = [
    Case(
        "a chat", "chat", "sim:tokens=8,seed=701", {}, {"status": "ready", "parts": ["step-start", "text"], "output": 9}
    ),
    Case(
        "a chat that thinks",
        "chat",
        "thinker:seed=702",
        {"think": True},
        {"status": "ready", "parts": ["step-start", "reasoning", "text"]},
    ),
    Case(
        "a chat with two calls",
        "chat",
        "tooler:calls=2,seed=703",
        {"tools": [CLOCK]},
        {"status": "ready", "parts": ["step-start", "dynamic-tool", "dynamic-tool"]},
    ),
    Case(
        "a chat that goes on after a tool's result",
        "chat",
        "tooler:seed=704",
        {"tools": [CLOCK], "messages": CONTINUED},
        {"status": "ready", "messages": 2, "parts": ["step-start", "dynamic-tool", "step-start", "text"]},
    ),
    Case("a chat with a picture", "chat", "viewer:seed=705", {"files": [PICTURE]}, {"status": "ready"}),
    Case("a slow chat", "chat", "sim:prefill=1,tokens=3,seed=706", {}, {"status": "ready", "output": 4}),
    Case("a chat with nobody", "chat", "nobody", {}, {"status": "error", "messages": 1}),
    Case("a chat that fails", "chat", "sim:tokens=9,fault=error,at=3,seed=707", {}, {"status": "error", "messages": 2}),
    Case(
        "a chat cut short", "chat", "sim:tokens=9,fault=truncate,at=3,seed=708", {}, {"status": "error", "messages": 2}
    ),
    Case(
        "a chat that is left and come back to",
        "resume",
        f"{LONG},seed=709",
        {"id": "resumed-chat-0001"},
        {"messages": 2},
    ),
    Case("a chat that is stopped", "stop", f"{ENDLESS},seed=710", {"id": "stopped-chat-0001"}, {"status": "error"}),
    *by_provider("anthropic", 720),
    *by_provider("openai", 740),
    *by_provider("compatible", 760),
]
Outcomes = dict[str, dict[str, Any]]


LOCKS: Final = ("javascript", "javascript_old")


@pytest.fixture(scope="module", params=LOCKS)
def lock(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def making(chain: Chain) -> Iterator[Making]:
    def make(lock: str) -> list[dict[str, Any]]:
        command = [str(node()), str(HERE / "ai_sdk_calls.mjs"), str(packages(lock)), chain.gateway.url]
        return made(command, [case.asked(lock) for case in CASES])

    with beside_each_other(LOCKS, make) as making:
        yield making


@pytest.fixture(scope="module")
def outcomes(lock: str, making: Making) -> Outcomes:
    """What came of every call, by one process of node."""
    return {case.name: outcome for case, outcome in zip(CASES, making[lock].result(), strict=True)}


def facts(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return what can be expected of an outcome."""
    message = outcome.get("message") or {}
    usage = outcome.get("usage") or (message.get("metadata") or {}).get("usage") or {}
    return {
        "status": outcome.get("status"),
        "messages": outcome.get("messages"),
        "parts": [part["type"] for part in message.get("parts", [])],
        "output": usage.get("outputTokens"),
        "finish": outcome.get("finish"),
        "text": outcome.get("text"),
        "inputs": [call["input"] for call in outcome.get("calls") or []],
        "object": outcome.get("object"),
        "failed": outcome.get("error") is not None,
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_gives_what_it_gives_with_their_own_server(
    case: Case, lock: str, outcomes: Outcomes, rows: list[Row]
) -> None:
    outcome = outcomes[case.name]
    got = facts(outcome)
    rows.append(
        Row(f"AI SDK, {lock}", case.name, "", str(got["status"] or got["finish"] or outcome.get("error")), "as theirs")
    )

    assert {**got, **case.expected} == got, outcome


def test_every_chunk_is_one_of_the_sdk_s_own_schema(outcomes: Outcomes) -> None:
    chunks = [chunk for outcome in outcomes.values() for chunk in outcome.get("chunks", ())]

    assert chunks
    assert [chunk for chunk in chunks if chunk.startswith("not valid")] == []


def test_who_comes_back_gets_the_answer_from_its_beginning_as_the_same_message(outcomes: Outcomes) -> None:
    outcome = outcomes["a chat that is left and come back to"]
    first, whole = (_text(outcome[name]) for name in ("first", "message"))

    assert outcome["first"]["id"] == outcome["message"]["id"]
    assert whole.startswith(first)
    assert len(whole) > len(first) > 0
    assert outcome["status"] == "ready"
    assert outcome["after"] == 0  # it is over: there is nothing to come back to


def test_a_stop_by_name_stops_the_model_and_is_said(outcomes: Outcomes, chain: Chain) -> None:
    outcome = outcomes["a chat that is stopped"]
    eventually(lambda: chain.calls(f"{ENDLESS},seed=710")[-1]["left_at"], "the model server saw it")

    assert (outcome["stopped"], outcome["again"]) == (202, 204)
    assert outcome["error"] == "The answer was stopped."
    assert _text(outcome["message"])


@pytest.mark.parametrize("case", [case for case in CASES if case.how == "leave"], ids=lambda case: case.name)
def test_who_leaves_a_stream_stops_its_model(case: Case, outcomes: Outcomes, chain: Chain) -> None:
    assert outcomes[case.name]["pieces"] >= 4
    eventually(lambda: chain.calls(case.model)[-1]["left_at"], "the model server saw it")

    assert chain.calls(case.model)[-1]["tokens"] < 1000


@pytest.mark.parametrize(
    ("name", "words"),
    [("a chat that fails", "an error was encountered"), ("a chat cut short", "The model server")],
)
def test_a_chat_that_breaks_off_keeps_its_text(name: str, words: str, outcomes: Outcomes) -> None:
    assert _text(outcomes[name]["message"])
    assert outcomes[name]["error"].startswith(words)


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")
