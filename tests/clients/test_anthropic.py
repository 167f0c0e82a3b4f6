"""Anthropic's own clients, unmodified, at the gateway: the right message or exception.

For Python and JavaScript, the newest and those of a year before (of the API version before, with the other header).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from services.dialects.anthropic import ThinkingSeal
from tests.chain import Chain
from tests.client_environment import environment_of, node, packages
from tests.clients.calls import PNG
from tests.clients.outcome import Row
from tests.clients.programs import AT_MOST, Making, beside_each_other, made
from tests.eventually import eventually

pytestmark = AT_MOST
HERE: Final = Path(__file__).parent
CITY: Final = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}}}
CLOCK: Final = {"name": "clock", "description": "Tell the time", "input_schema": CITY}
THINKING: Final = {"type": "enabled", "budget_tokens": 1024}
PICTURE: Final = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
ANSWERS: Final = ("whole", "helper")
INPUT: Final = {"city": "Reykjavík", "people": 3}
CALLED: Final[list[dict[str, Any]]] = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "clock", "input": INPUT}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "12:00"}]},
]


@dataclass(frozen=True)
class Case:
    """A call, and what :func:`facts` has to say of its outcome.

    Attributes:
        calls: how often the model server is asked in the end, by all cases of this group.
    """

    name: str
    how: str
    model: str
    fields: dict[str, Any] = field(default_factory=dict)
    expected: dict[str, Any] = field(default_factory=dict)
    calls: int | None = None

    @property
    def group(self) -> str:
        """What it has in common with those that ask the same in other ways."""
        return self.name.partition(", ")[0]

    def asked(self, seed: int) -> dict[str, Any]:
        """Return the call as a client's program reads it, of a model that this group alone asks."""
        first = {"model": self.name_of_model(seed), "messages": [{"role": "user", "content": "hello"}]}
        length = {} if self.how == "count" else {"max_tokens": 2000}
        return {"how": self.how, "arguments": {**first, **length, **self.fields}}

    def name_of_model(self, seed: int) -> str:
        """Return the model's name: its seed, where it may have one."""
        if self.model == "nobody":
            return self.model
        return f"{self.model}{',' if ':' in self.model else ':'}seed={seed}"


def _said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def _both(name: str, model: str, expected: dict[str, Any], calls: int | None = None, **fields: Any) -> list[Case]:
    return [Case(f"{name}, {how}", how, model, fields, expected, calls) for how in ANSWERS]


def _broken(name: str, model: str) -> list[Case]:
    """Return a stream that breaks off after its headers, by both roads, and the whole answer that does not come."""
    streamed = [
        Case(f"{name}, {how}", how, model, {}, {"type": "api_error", "ends": False}) for how in ("stream", "helper")
    ]
    return [*streamed, Case(f"{name}, whole", "whole", model, {}, {"type": "api_error", "status": 502}, 3)]


BAD_REQUEST: Final = {"class": "BadRequestError", "status": 400, "type": "invalid_request_error"}
BAD: Final[dict[str, dict[str, Any]]] = {
    "an image's address": {"messages": [_said({"type": "image", "source": {"type": "url", "url": "http://x/y.png"}})]},
    "17 images": {"messages": [_said(*[PICTURE] * 17)]},
    "a result without a call": {"messages": CALLED[2:]},
    "arguments that are no JSON": {"messages": [{**CALLED[1], "content": [{**CALLED[1]["content"][0], "input": "{"}]}]},
}
CASES: Final = [
    *_both("text", "sim:tokens=8", {"blocks": ["text"], "stop": "end_turn", "output": 9}),
    *_both("system", "sim:tokens=3", {"blocks": ["text"]}, system=[{"type": "text", "text": "Be brief"}]),
    *_both("cut at its length", "sim:tokens=50", {"stop": "max_tokens", "output": 5}, max_tokens=5),
    *_both("thinking", "thinker", {"blocks": ["thinking", "text"], "signed": True}, thinking=THINKING),
    *_both("thinking that nobody asked for", "thinker", {"blocks": ["text"]}),
    *_both("one tool", "tooler", {"blocks": ["tool_use"], "stop": "tool_use", "inputs": [INPUT]}, tools=[CLOCK]),
    *_both(
        "two tools",
        "tooler:calls=2",
        {"blocks": ["tool_use"] * 2, "stop": "tool_use", "inputs": [INPUT] * 2},
        tools=[CLOCK],
    ),
    *_both("a tool's result", "tooler", {"blocks": ["text"]}, tools=[CLOCK], messages=CALLED),
    *_both(
        "a forced tool",
        "sim",
        {"blocks": ["tool_use"], "stop": "tool_use", "inputs": [INPUT]},
        tools=[CLOCK],
        tool_choice={"type": "tool", "name": "clock"},
    ),
    *_both("a picture", "viewer", {"blocks": ["text"]}, messages=[{"role": "user", "content": [PICTURE]}]),
    *_both("a slow model", "sim:prefill=1,tokens=3", {"blocks": ["text"], "output": 4}),
    Case("plain iteration", "stream", "sim:tokens=3", {}, {"ends": True}),
    Case("counting", "count", "sim", {}, {"counted": True}, 0),
    *_both("an unknown model", "nobody", {"class": "NotFoundError", "status": 404, "type": "not_found_error"}),
    *_both("a forced tool among several", "sim", {"status": 400}, 0, tools=[CLOCK, CLOCK], tool_choice={"type": "any"}),
    *[Case(name, "whole", "sim", fields, BAD_REQUEST, 0) for name, fields in BAD.items()],
    Case("a full model server, whole", "whole", "sim:status=503", {}, {"status": 529, "type": "overloaded_error"}, 3),
    *_broken("an error in the stream", "sim:tokens=9,fault=error,at=3"),
    *_broken("cut short", "sim:tokens=9,fault=truncate,at=3"),
    Case("left in the middle", "leave", "sim:tokens=5000,rate=100", {}, {"class": None}),
]


def _of_python(lock: str) -> Callable[[], list[str]]:
    return lambda: [str(environment_of(lock)), str(HERE / "anthropic_calls.py")]


def _of_javascript(lock: str) -> Callable[[], list[str]]:
    return lambda: [str(node()), str(HERE / "anthropic_calls.mjs"), str(packages(lock))]


CLIENTS: Final[dict[str, Callable[[], list[str]]]] = {
    "Python": _of_python("anthropic"),
    "Python, a year old": _of_python("anthropic-old"),
    "JavaScript": _of_javascript("javascript"),
    "JavaScript, a year old": _of_javascript("javascript_old"),
}
"""What runs each of them, but for the server's address."""
FIRST_SEEDS: Final = {client: 500 + 100 * number for number, client in enumerate(CLIENTS)}
GROUPS: Final = list(dict.fromkeys(case.group for case in CASES))


@pytest.fixture(scope="module", params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Outcomes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def making(chain: Chain) -> Iterator[Making]:
    def make(client: str) -> list[dict[str, Any]]:
        calls = [case.asked(seed_of(case, client)) for case in CASES]
        return made([*CLIENTS[client](), chain.gateway.url], calls)

    with beside_each_other(CLIENTS, make) as making:
        yield making


@pytest.fixture(scope="module")
def outcomes(client: str, making: Making) -> Outcomes:
    """What came of every call, by one process of the client."""
    return {case.name: outcome for case, outcome in zip(CASES, making[client].result(), strict=True)}


def seed_of(case: Case, client: str) -> int:
    """Return the seed of the group's model."""
    return FIRST_SEEDS[client] + GROUPS.index(case.group)


def facts(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return what can be expected of an outcome, whichever client's it is."""
    message, error, events = outcome["message"] or {}, outcome["error"] or {}, outcome["events"]
    blocks = message.get("content", [])
    usage = message.get("usage", {})
    return {
        "blocks": [block["type"] for block in blocks],
        "stop": message.get("stop_reason"),
        "inputs": [block["input"] for block in blocks if block["type"] == "tool_use"],
        "signed": all(
            block["signature"] == ThinkingSeal(block["thinking"]).signature
            for block in blocks
            if block["type"] == "thinking"
        ),
        "output": usage.get("output_tokens"),
        "ends": "message_stop" in events,
        "counted": message.get("input_tokens", 0) > 0,
        "class": error.get("class"),
        "status": error.get("status"),
        "type": error.get("type"),
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_call_gives_the_right_message_or_exception(
    case: Case, client: str, outcomes: Outcomes, chain: Chain, rows: list[Row]
) -> None:
    """§3 of the design: 1, 3, 4, 5, 7, 8, 20, 21 of the bugs that others have."""
    got = facts(outcomes[case.name])
    rows.append(
        Row(f"anthropic, {client}", case.name, "", str(got["class"] or got["stop"] or "ends"), "as Anthropic's")
    )

    assert {**got, **case.expected} == got, outcomes[case.name]
    if case.calls is not None:
        model = case.name_of_model(seed_of(case, client))
        assert len(chain.calls(model)) == case.calls


@pytest.mark.parametrize("name", sorted({case.group for case in CASES if case.how == "helper"}))
def test_a_streamed_message_is_the_whole_one(name: str, outcomes: Outcomes) -> None:
    """Bug 22: as much thinking out as in, by both roads."""
    whole, streamed = (outcomes[f"{name}, {how}"]["message"] for how in ANSWERS)
    if whole is None:
        assert streamed is None
        return

    assert [_without_id(block) for block in streamed["content"]] == [_without_id(block) for block in whole["content"]]
    assert streamed["usage"] == whole["usage"]


def test_every_call_has_an_id_of_its_own(outcomes: Outcomes) -> None:
    for how in ANSWERS:
        ids = [block["id"] for block in outcomes[f"two tools, {how}"]["message"]["content"]]
        assert len(set(ids)) == 2


def test_a_client_that_leaves_stops_the_model(client: str, outcomes: Outcomes, chain: Chain) -> None:
    assert outcomes["left in the middle"]["error"] is None
    case = next(case for case in CASES if case.how == "leave")
    model = case.name_of_model(seed_of(case, client))
    eventually(lambda: chain.calls(model)[0]["left_at"], "the model server saw it")

    assert chain.calls(model)[0]["tokens"] < 500


def test_a_refusal_names_its_request(outcomes: Outcomes) -> None:
    """By the header that these clients read."""
    assert outcomes["an unknown model, whole"]["error"]["request_id"]


def _without_id(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "id"}
