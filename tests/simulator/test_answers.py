"""What the simulator says, held to the recordings: the same fields in the same order, the same rules of counting."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.simulator.answers import Answer, AnswerTiming, Clock
from services.simulator.models import Model
from services.simulator.prose import prose
from services.simulator.recordings import load_all
from services.simulator.script import Script
from services.simulator.simulator import Simulator
from services.simulator.speech import AFTER_RESULT, STORY, example, thoughts
from services.simulator.steps import Line, MakerStep, Wait
from services.simulator.validation import Ask
from tests.simulator.reader import HELLO, Seen, ask, chat, generate, post
from tests.simulator.shape import shape

RECORDINGS = load_all(Path(__file__).parents[1] / "captures")
WEATHER = RECORDINGS["chat_tool_call"].request["tools"]


def kinds(lines: list[Any]) -> list[Any]:
    """Return the shapes of lines in the order in which they first occur."""
    return list({json.dumps(shape(line)): shape(line) for line in lines}.values())


def recorded(case: str) -> list[Any]:
    return [json.loads(line) for line in RECORDINGS[case].body.split(b"\n") if line]


@pytest.mark.parametrize(
    "case",
    [
        "generate_stream", "generate_raw", "generate_think_true", "generate_think_absent", "generate_num_predict_1",
        "generate_num_predict_3", "generate_case_insensitive_keys", "generate_load_empty_prompt", "generate_unload",
        "chat_stream", "chat_think_true", "chat_think_absent", "chat_think_high", "chat_think_false",
        "chat_think_cut_short", "chat_think_true_nostream", "chat_think_false_nostream", "chat_nostream",
        "chat_tool_call", "chat_no_tools", "chat_tool_result", "chat_tool_cut_short",
        "chat_load_empty_messages", "chat_unload", "generate_duplicate_keys", "generate_trailing_garbage",
    ],
)  # fmt: skip
async def test_an_answer_has_the_recorded_shape_head_and_end(case: str, simulator: Simulator) -> None:
    recording = RECORDINGS[case]

    seen = await ask(simulator, post(f"/api/{recording.endpoint}", _sendable(recording.request)))

    lines = recorded(case)
    assert kinds(seen.lines) == kinds(lines)
    assert (seen.status, seen.fields["Content-Type"], seen.end) == (200, recording.content_type, "whole")
    assert ("Content-Length" in seen.fields) is not recording.chunked
    assert seen.lines[-1].get("done_reason") == lines[-1].get("done_reason")


@pytest.mark.parametrize(
    "case", ["chat_think_true", "chat_think_false", "chat_no_tools", "chat_tool_result", "generate_think_true",
             "generate_num_predict_3", "chat_tool_cut_short", "chat_think_absent"],
)  # fmt: skip
async def test_built_in_models_say_the_recorded_words(case: str, simulator: Simulator) -> None:
    recording = RECORDINGS[case]

    seen = await ask(simulator, post(f"/api/{recording.endpoint}", _sendable(recording.request)))

    assert seen.text == Seen(body=recording.body).text
    assert _thinking(seen) == _thinking(Seen(body=recording.body))


async def test_the_recorded_story_is_told(simulator: Simulator) -> None:
    seen = await ask(simulator, generate("story"))

    assert seen.text == STORY == "".join(line["response"] for line in recorded("generate_stream"))


async def test_the_plain_simulator_says_that_it_is_no_model(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim"))

    assert "Sluice's simulator" in seen.text
    assert "There is no model here" in seen.text


async def test_the_header_comes_with_the_first_line_and_each_line_is_a_chunk(simulator: Simulator) -> None:
    seen = await ask(simulator, generate("sim:tokens=30"))

    assert all(chunk.endswith(b"\n") and chunk.count(b"\n") == 1 for chunk in seen.chunks)
    assert len(seen.chunks) == 31


@pytest.mark.parametrize("endpoint", ["generate", "chat"])
async def test_a_test_can_work_out_what_a_name_says(endpoint: str, simulator: Simulator) -> None:
    name = "sim:tokens=200,seed=5,think=12"
    seen = await ask(simulator, generate(name) if endpoint == "generate" else chat(name))

    assert seen.text == "".join(prose(200, 5))
    assert _thinking(seen) == "".join(thoughts(12, 5))


async def test_the_same_name_says_the_same_again(simulator: Simulator) -> None:
    first, second = [(await ask(simulator, chat("sim:tokens=50,seed=9"))).text for _ in range(2)]

    assert first == second == "".join(prose(50, 9))


async def test_num_predict_ends_the_answer_with_reason_length(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim:tokens=200", options={"num_predict": 7}))

    assert seen.text == "".join(prose(7))
    assert (seen.lines[-1]["done_reason"], seen.lines[-1]["eval_count"]) == ("length", 7)


async def test_num_predict_minus_one_is_ten_times_the_context(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim:tokens=1000", options={"num_predict": -1, "num_ctx": 20}))

    assert (seen.lines[-1]["done_reason"], seen.lines[-1]["eval_count"]) == ("length", 200)


async def test_the_answer_that_ends_by_itself_counts_its_end_token(simulator: Simulator) -> None:
    last = (await ask(simulator, generate("sim:tokens=10"))).lines[-1]

    assert (last["done_reason"], last["eval_count"]) == ("stop", 11)
    assert len(last["context"]) == last["prompt_eval_count"] + 10


class HandClock:
    """A clock that moves by as much as a test lets pass."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def __call__(self) -> int:
        return self.ns


def played(script: Script, ask: Ask) -> tuple[list[MakerStep], float]:
    """Take an answer as the player would, waiting by a clock of our own; return its steps and the seconds waited."""
    clock = HandClock()
    timing = AnswerTiming(clock.ns, ready_ns=clock.ns, permitted_ns=clock.ns)
    steps: list[MakerStep] = []
    for step in Answer(Model("sim", "sim", script, ("completion",)), ask, timing, Clock(clock, clock)).streamed():
        clock.ns += round(step.seconds * 1e9) if isinstance(step, Wait) else 0
        steps.append(step)
    return steps, sum(step.seconds for step in steps if isinstance(step, Wait))


def test_a_rate_is_one_gap_for_each_token_after_the_first_and_its_durations_are_exact() -> None:
    steps, waited_s = played(Script(tokens=101, rate=50, prefill=0.5), Ask("chat", "sim"))

    last = json.loads(next(step.data for step in steps if isinstance(step, Line) and step.final))
    assert waited_s == pytest.approx(0.5 + 100 / 50)
    assert (last["prompt_eval_duration"], last["eval_duration"]) == (500_000_000, 2_000_000_000)
    assert last["total_duration"] == 2_500_000_000


def test_jitter_keeps_each_gap_within_its_share_and_the_dice_are_the_seeds() -> None:
    script = Script(tokens=200, rate=100, jitter=0.3, seed=4)

    first, again = (played(script, Ask("chat", "sim"))[0] for _ in range(2))

    gaps = [step.seconds for step in first if isinstance(step, Wait)]
    assert len(gaps) == 199
    assert 0.007 <= min(gaps) < 0.008
    assert 0.012 < max(gaps) <= 0.013
    assert gaps == [step.seconds for step in again if isinstance(step, Wait)]


def test_a_burst_waits_once_for_several_tokens_and_keeps_the_rate() -> None:
    steps, waited_s = played(Script(tokens=101, rate=50, burst=10), Ask("chat", "sim"))

    assert waited_s == pytest.approx(2)
    assert sum(isinstance(step, Wait) for step in steps) == 10


def test_rate_zero_waits_for_nothing() -> None:
    assert played(Script(tokens=500), Ask("chat", "sim"))[1] == 0


async def test_the_durations_add_up_to_the_total(simulator: Simulator) -> None:
    last = (await ask(simulator, chat("sim:tokens=20,rate=1000,load=0.02,prefill=0.03"))).lines[-1]

    parts = [last["load_duration"], last["prompt_eval_duration"], last["eval_duration"]]
    assert sum(parts) <= last["total_duration"]
    assert last["load_duration"] >= 20_000_000
    assert last["total_duration"] >= 65_000_000


async def test_a_single_token_reports_the_recorded_thousand_nanoseconds(simulator: Simulator) -> None:
    last = (await ask(simulator, chat("sim:tokens=5", options={"num_predict": 1}))).lines[-1]

    assert last["eval_duration"] == recorded("generate_num_predict_1")[-1]["eval_duration"] == 1000


async def test_each_offered_tool_is_called_with_arguments_that_its_schema_allows(simulator: Simulator) -> None:
    other = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {
        "to": {"enum": ["bob", "eve"]}, "sums": {"type": "array", "items": {"type": "number"}},
    }}}}  # fmt: skip

    seen = await ask(simulator, chat("tooler:calls=2", tools=[*WEATHER, other]))

    calls = [call for line in seen.lines for call in line["message"].get("tool_calls", [])]
    assert [call["function"] for call in calls] == [
        {"index": 0, "name": "get_weather", "arguments": {"city": "Reykjavík", "days": 3}},
        {"index": 1, "name": "pay", "arguments": {"to": "bob", "sums": [1.5]}},
    ]
    assert all(call["id"].startswith("call_") and len(call["id"]) == 13 for call in calls)


def test_an_example_in_a_text_s_description_is_taken() -> None:
    zone = {"type": "string", "description": "IANA timezone name (e.g., 'America/New_York', 'Europe/London')."}

    assert example({"type": "object", "properties": {"timezone": zone, "of": {"type": "string"}}}) == {
        "timezone": "America/New_York",
        "of": "Reykjavík",
    }


async def test_calls_come_in_as_many_rounds_as_are_wanted_each_with_the_next_tool(simulator: Simulator) -> None:
    tools = [*WEATHER, {"type": "function", "function": {"name": "pay"}}]
    messages: list[dict[str, Any]] = list(HELLO)
    called = []
    for _ in range(2):
        seen = await ask(simulator, chat("tooler:rounds=2", tools=tools, messages=messages))
        (call,) = [call for line in seen.lines for call in line["message"].get("tool_calls", [])]
        called.append(call)
        messages += [{"role": "assistant", "content": "", "tool_calls": [call]}, {"role": "tool", "content": "ok"}]
    last = await ask(simulator, chat("tooler:rounds=2", tools=tools, messages=messages))

    assert [call["function"]["name"] for call in called] == ["get_weather", "pay"]
    assert called[0]["id"] != called[1]["id"]
    assert last.text == AFTER_RESULT


async def test_a_tool_is_called_by_the_name_that_is_wanted_offered_or_not(simulator: Simulator) -> None:
    for name, arguments in (("rocket", {}), ("get_weather", {"city": "Reykjavík", "days": 3})):
        seen = await ask(simulator, chat(f"tooler:tool={name}", tools=WEATHER))

        (call,) = [call for line in seen.lines for call in line["message"].get("tool_calls", [])]
        assert (call["function"]["name"], call["function"]["arguments"]) == (name, arguments)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("json", {"city": "Oslo", "days": [1, 2, 3]}),
        ({"type": "object", "properties": {"n": {"type": "integer"}, "ok": {"type": "boolean"}}}, {"n": 3, "ok": True}),
    ],
)
async def test_a_format_makes_the_answer_json(wanted: Any, said: Any, simulator: Simulator) -> None:
    seen = await ask(simulator, chat("sim", format=wanted))

    assert json.loads(seen.text) == said


async def test_a_body_without_stream_is_streamed_and_with_false_is_one_object(simulator: Simulator) -> None:
    absent = await ask(simulator, post("/api/chat", {"model": "sim:tokens=3", "messages": HELLO}))
    false = await ask(simulator, chat("sim:tokens=3", stream=False))

    assert (len(absent.lines), absent.fields["Content-Type"]) == (4, "application/x-ndjson")
    assert len(false.lines) == 1
    assert not false.body.endswith(b"\n")
    assert absent.text == false.text


def _thinking(seen: Seen) -> str:
    return "".join(line.get("thinking", "") or line.get("message", {}).get("thinking", "") for line in seen.lines)


def _sendable(request: Any) -> Any:
    """Return a recorded body: objects as JSON, a string as it stands."""
    return request.encode() if isinstance(request, str) else request
