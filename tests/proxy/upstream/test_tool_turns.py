"""An answer whose tools run here: what it is to who reads it, what it holds, and what is given up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest

from proxy.streams.approvals import Heard
from proxy.tools.tool import Outcome, Tool
from proxy.upstream.tool_turns import AT_ONCE, MAX_OFFERED, offered
from services.http.connection import ResponseEnd
from services.wire.events import ApiError, Code, Failed, Finished, FinishReason, Phase, ToolResult, Usage
from services.wire.request import ChatRequest, ServerTools
from services.wire.request import Tool as OfferedTool
from tests.proxy.stage import REQUEST, turns
from tests.proxy.upstream.production import BUSY_NOW, LONG, MODEL, ProducerStage, line, outcome_of, produced
from tests.proxy.upstream.scripted_toolbox import NOON, ScriptedToolbox, tool
from tests.proxy.upstream.scripted_transport import Attempt, Connects

WITH_TOOLS = replace(REQUEST, server_tools=ServerTools())
NUMBERS = {
    "prompt_eval_count": 2,
    "eval_count": 3,
    "load_duration": 0,
    "prompt_eval_duration": 0,
    "eval_duration": 500_000_000,
}


def said(content: str = "", *, done: bool = False, **message: object) -> bytes:
    more = {"done_reason": "stop", **NUMBERS} if done else {}
    return orjson.dumps({"message": {"role": "assistant", "content": content, **message}, "done": done, **more}) + b"\n"


def calls(*names: str, **arguments: Any) -> Connects:
    functions = [{"function": {"name": name, "arguments": arguments}} for name in names]
    return Connects([said("Let me see. ") + said(tool_calls=functions), said(done=True)], ResponseEnd.COMPLETE)


ANSWERS = Connects([said("It is "), said("noon.") + said(done=True)], ResponseEnd.COMPLETE)


def clock(**outcomes: Outcome) -> ScriptedToolbox:
    return ScriptedToolbox(tool("clock"), outcomes={"clock": NOON, **outcomes})


def careful(approval_s: float = 30.0) -> ScriptedToolbox:
    return ScriptedToolbox(tool("oven", confirm=True, approval_s=approval_s), outcomes={"oven": Outcome(True, "on")})


async def answered(
    *attempts: Attempt, toolbox: ScriptedToolbox | None = None, request: ChatRequest = WITH_TOOLS
) -> ProducerStage:
    return await outcome_of(*attempts, toolbox=toolbox or clock(), request=request)


@asynccontextmanager
async def in_a_tool(toolbox: ScriptedToolbox, *attempts: Attempt, **more: object) -> AsyncIterator[ProducerStage]:
    """An answer whose tool runs, or waits for somebody; at the end nothing of it is left."""
    async with produced(*attempts, toolbox=toolbox, request=WITH_TOOLS, **more) as stage:
        await stage.begin()
        while stage.stream.status is None or stage.stream.status.call_id is None:
            await turns()
        yield stage


def results(stage: ProducerStage) -> list[ToolResult]:
    return [event for event in stage.stream.log.held(0) if isinstance(event, ToolResult)]


async def test_a_call_and_its_result_and_the_next_turn_are_one_stream_with_one_end() -> None:
    stage = await answered(calls("clock"), ANSWERS)

    assert (stage.text, stage.end) == ("Let me see. It is noon.", "stop")
    assert stage.sink.text.replace("(tool) ", "") == (
        "1=start 2=Let me see.  3=tool_call 4=tool_result 5=It is  6=noon. 7=stop "
    )
    (result,) = results(stage)
    assert (result.call_id, result.name, result.ok, result.content, result.approval) == (
        *("call_1", "clock", True, "12:00"),
        None,
    )
    assert stage.transport.open_when_asked == [0, 0]
    assert stage.noted.permits == ["admitted", "admitted"]
    assert stage.noted.repeats == []
    stage.assert_everything_is_given_back()


async def test_the_end_leaves_in_the_write_of_its_last_token_and_a_call_does_not_wait_for_its_result() -> None:
    whole = Connects(
        [said("a") + said(tool_calls=[{"function": {"name": "clock", "arguments": {}}}]) + said(done=True)]
    )

    stage = await answered(replace(whole, end=ResponseEnd.COMPLETE), ANSWERS)

    assert stage.sink.writes[:2] == [b"1=start ", b"2=a 3=tool_call "]
    assert stage.sink.writes[-1] == b"6=noon. 7=stop "


async def test_usage_times_and_attempts_add_up_over_the_turns() -> None:
    stage = await answered(BUSY_NOW, calls("clock"), BUSY_NOW, ANSWERS)
    end = stage.stream.log.end

    assert isinstance(end, Finished)
    assert (end.usage, end.turns) == (Usage(4, 6), 2)
    assert (end.served_by and end.served_by.attempts, stage.noted.repeats) == (4, ["503", "503"])
    assert (end.timing.decode_ms, end.timing.load_ms, end.timing.prefill_ms) == (1000.0, 0.0, 0.0)
    assert end.timing.tools_ms is not None
    assert end.last_word == {"done_reason": "stop", **{name: 2 * number for name, number in NUMBERS.items()}}
    stages = stage.stream.timeline.stages(stage.stream.last_word)
    assert sum(stages.values()) * 1000 == pytest.approx(end.timing.total_ms, abs=0.1)


async def test_a_later_turn_is_asked_again_though_an_earlier_one_showed_content_but_not_behind_its_own() -> None:
    """Judged per call: what it has not shown can be asked for again."""
    broken = Connects([line("It")], ResponseEnd.DISCONNECTED)

    stage = await answered(calls("clock"), BUSY_NOW, broken, ANSWERS)

    assert (stage.text, stage.end) == ("Let me see. It", "upstream_disconnected")
    assert stage.noted.repeats == ["503"]
    stage.assert_everything_is_given_back()


async def test_an_answer_whose_later_turn_fails_keeps_its_text_and_fails_as_that_did() -> None:
    stage = await answered(calls("clock"), Connects([b'{"error":"no"}'], ResponseEnd.COMPLETE, status=400))

    assert isinstance(stage.stream.log.end, Failed)
    assert (stage.text, stage.end) == ("Let me see. ", "invalid_request")
    stage.assert_everything_is_given_back()


async def test_an_answer_that_was_offered_nothing_has_one_turn_and_says_so() -> None:
    stage = await answered(ANSWERS, toolbox=ScriptedToolbox())
    end = stage.stream.log.end

    assert isinstance(end, Finished)
    assert (end.reason, end.turns, end.timing.tools_ms) == ("stop", 1, 0.0)


async def test_results_come_as_they_are_had_and_four_run_at_once() -> None:
    toolbox = ScriptedToolbox(tool("clock"), tool("slow"), outcomes={"clock": NOON})
    slow = ["slow"] * (AT_ONCE + 1)
    async with in_a_tool(toolbox, calls("slow", "clock", *slow), ANSWERS) as stage:
        while toolbox.running < AT_ONCE:
            await turns()
        assert [one.call_id for one in results(stage)] == ["call_2"]
        toolbox.let_go()
        await stage.over()

        assert toolbox.most_running == AT_ONCE
        assert len(results(stage)) == len(slow) + 2
        assert stage.end == "stop"
        stage.assert_everything_is_given_back()


async def test_no_permit_is_held_while_a_tool_runs_and_the_next_turn_stands_before_newcomers() -> None:
    toolbox = ScriptedToolbox(tool("clock"))
    async with in_a_tool(toolbox, calls("clock"), ANSWERS) as stage:
        while stage.admission.held:
            await turns()
        first, newcomer = (stage.admission.enter(MODEL, owner, chance=0.5) for owner in ("b", "c"))
        assert (first.position, newcomer.position) == (None, 1)

        toolbox.let_go()
        while newcomer.position != 2:
            await turns()
        assert stage.stream.status is not None
        assert (stage.stream.status.phase, stage.stream.status.position) == (Phase.QUEUED, 1)
        first.leave()
        await stage.over()

        assert (stage.end, newcomer.granted.done()) == ("stop", True)
        newcomer.leave()
        stage.assert_everything_is_given_back()


async def test_a_turn_that_waits_too_long_for_its_permit_ends_the_answer() -> None:
    toolbox = ScriptedToolbox(tool("clock"))
    async with in_a_tool(toolbox, calls("clock"), ANSWERS, queue_s=0.05) as stage:
        while stage.admission.held:
            await turns()
        other = stage.admission.enter(MODEL, "b", chance=0.5)
        toolbox.let_go()
        await stage.over()

        assert (stage.end, stage.noted.permits) == ("queue_timeout", ["admitted", "timeout"])
        other.leave()
        stage.assert_everything_is_given_back()


@pytest.mark.parametrize("reason", [FinishReason.CANCELLED, FinishReason.ABANDONED])
async def test_stopping_an_answer_gives_its_tool_up(reason: FinishReason) -> None:
    toolbox = ScriptedToolbox(tool("clock"))
    async with in_a_tool(toolbox, calls("clock"), ANSWERS) as stage:
        while not toolbox.running:
            await turns()
        stage.stream.stop(reason)
        await stage.over()
        await turns()

        assert (stage.end, toolbox.given_up, toolbox.running) == (reason, 1, 0)
        assert results(stage) == []
        stage.assert_everything_is_given_back()


async def test_a_call_that_waits_for_others_to_end_is_cancelled_with_its_answer() -> None:
    toolbox = ScriptedToolbox(tool("slow"))
    async with in_a_tool(toolbox, calls(*["slow"] * (AT_ONCE + 2)), ANSWERS) as stage:
        while toolbox.running < AT_ONCE:
            await turns()
        stage.stream.stop(FinishReason.CANCELLED)
        await stage.over()
        await turns()

        assert (toolbox.given_up, stage.noted.not_run) == (AT_ONCE, [("slow", "cancelled")] * 2)
        stage.assert_everything_is_given_back()


async def test_the_answer_s_total_time_goes_on_while_a_tool_runs() -> None:
    toolbox, deadlines = ScriptedToolbox(tool("clock")), replace(LONG, total_s=0.1)
    async with in_a_tool(toolbox, calls("clock"), ANSWERS, deadlines=deadlines) as stage:
        await stage.over()
        await turns()

        assert isinstance(stage.stream.log.end, Failed)
        assert (stage.end, stage.stream.log.end.stage, toolbox.given_up) == ("upstream_timeout", "total", 1)
        stage.assert_everything_is_given_back()


@pytest.mark.parametrize("next_turn", [(ANSWERS,), (BUSY_NOW, ANSWERS)], ids=["at once", "at the second attempt"])
async def test_who_leaves_for_a_moment_while_a_tool_runs_finds_the_answer_whole(next_turn: tuple[Attempt, ...]) -> None:
    """Only an answer that has not begun is not worth the model's time when nobody reads it."""
    toolbox = ScriptedToolbox(tool("clock"))
    async with in_a_tool(toolbox, calls("clock"), *next_turn) as stage:
        for follower in stage.stream.followers:
            stage.stream.leave(follower)
        toolbox.let_go()
        await stage.over()

        assert (stage.text, stage.end) == ("Let me see. It is noon.", "stop")


@pytest.mark.parametrize(("approve", "approval"), [(True, "given"), (False, "refused")])
async def test_a_call_waits_for_somebody_s_word(approve: bool, approval: str) -> None:
    toolbox = careful()
    async with in_a_tool(toolbox, calls("oven"), ANSWERS) as stage:
        status = stage.stream.status
        assert (status and status.phase, status and status.name, toolbox.called) == (Phase.APPROVAL, "oven", [])
        assert stage.stream.approvals is not None
        assert stage.stream.approvals.say("call_1", approve=approve) is Heard.TAKEN
        await stage.over()

        (result,) = results(stage)
        assert (result.approval, result.ok, len(toolbox.called)) == (approval, approve, int(approve))
        assert stage.noted.not_run == ([] if approve else [("oven", "refused")])
        assert stage.end == "stop"
        stage.assert_everything_is_given_back()


async def test_a_call_that_nobody_approves_in_time_does_not_run_and_the_model_is_told() -> None:
    toolbox = careful(approval_s=0.05)
    stage = await answered(calls("oven"), ANSWERS, toolbox=toolbox)

    (result,) = results(stage)
    assert (result.approval, result.ok, result.content) == (
        *("expired", False),
        "Not run: nobody approved this call in time.",
    )
    assert (stage.end, toolbox.called, stage.noted.not_run) == ("stop", [], [("oven", "expired")])


async def test_an_answer_that_is_stopped_waits_for_nobody_s_word() -> None:
    async with in_a_tool(careful(), calls("oven"), ANSWERS) as stage:
        approvals = stage.stream.approvals
        stage.stream.stop(FinishReason.CANCELLED)
        await stage.over()
        await turns()

        assert approvals is not None
        assert approvals.say("call_1", approve=True) is Heard.NOT_AWAITED
        assert stage.noted.not_run == [("oven", "cancelled")]
        stage.assert_everything_is_given_back()


async def test_what_is_not_offered_and_what_does_not_fit_the_schema_is_told_and_does_not_run() -> None:
    toolbox = clock()
    stage = await answered(calls("rocket"), calls("clock", tz=7), ANSWERS, toolbox=toolbox)

    assert [one.content for one in results(stage)] == [
        "Not run: there is no tool of this name here.",
        "Not run: tz must be a string.",
    ]
    assert (toolbox.called, stage.end) == ([], "stop")
    assert stage.noted.not_run == [(None, "not_run"), ("clock", "not_run")]


async def test_an_answer_that_calls_the_client_s_tool_too_ends_behind_ours() -> None:
    request = replace(WITH_TOOLS, tools=(OfferedTool("theirs"),))

    stage = await answered(calls("theirs", "clock"), request=request)
    end = stage.stream.log.end

    assert [one.call_id for one in results(stage)] == ["call_2"]
    assert isinstance(end, Finished)
    assert (end.reason, end.turns) == ("tool_calls", 1)
    stage.assert_everything_is_given_back()


async def test_a_finished_stream_holds_nothing_of_what_was_said() -> None:
    stage = await answered(calls("clock"), ANSWERS)

    assert stage.stream.log.on_call is None
    assert stage.stream.request == ChatRequest(model=MODEL)


async def test_a_turn_goes_back_though_a_small_log_has_lost_its_calls_to_a_long_result() -> None:
    long = "x" * 4000
    async with produced(
        calls("clock"), ANSWERS, toolbox=clock(clock=Outcome(True, long)), request=WITH_TOOLS, log_bytes=2048
    ) as stage:
        await stage.begin()
        await stage.over()

        said = stage.transport.bodies[1]["messages"]
        assert [(one["role"], len(one.get("tool_calls", []))) for one in said[1:]] == [("assistant", 1), ("tool", 0)]
        assert said[2]["content"] == long
        assert stage.end == "stop"


# --- what is offered


def asking(*clients: str, **wanted: Any) -> ChatRequest:
    return replace(REQUEST, tools=tuple(map(OfferedTool, clients)) or None, server_tools=ServerTools(**wanted))


def names(tools: tuple[Tool, ...] | None) -> list[str] | None:
    return None if tools is None else [one.name for one in tools]


BOTH = ScriptedToolbox(tool("clock"), tool("oven", confirm=True))


def calls_any(_request: ChatRequest) -> bool:
    """The model lacks no tools, as far as is known."""
    return False


def test_who_asks_for_no_tools_is_offered_none() -> None:
    assert offered(REQUEST, BOTH, calls_any) is None


def test_what_needs_somebody_is_not_offered_where_nobody_can_be_asked() -> None:
    assert names(offered(asking(), BOTH, calls_any)) == ["clock", "oven"]
    assert names(offered(asking(attended=False), BOTH, calls_any)) == ["clock"]
    assert names(offered(asking(names=("clock", "gone")), BOTH, calls_any)) == ["clock"]


def test_a_model_that_cannot_call_tools_is_asked_without_unless_one_is_named() -> None:
    def lacks(_request: ChatRequest) -> bool:
        return True

    assert offered(REQUEST, BOTH, lacks) is None
    assert offered(asking(), BOTH, lacks) == ()
    with pytest.raises(ApiError) as refused:
        offered(asking(names=("clock",), demanded=True), BOTH, lacks)
    assert refused.value.failed.code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (asking(names=("gone",), demanded=True), Code.UPSTREAM_UNAVAILABLE),
        (asking(names=("oven",), demanded=True, attended=False), Code.INVALID_REQUEST),
        (asking("clock"), Code.INVALID_REQUEST),
        (asking(*[f"t{number}" for number in range(MAX_OFFERED - 1)]), Code.INVALID_REQUEST),
    ],
    ids=["gone", "unattended", "same name", "too many"],
)
def test_what_cannot_be_offered_is_refused(request_: ChatRequest, code: Code) -> None:
    with pytest.raises(ApiError) as refused:
        offered(request_, BOTH, calls_any)

    assert refused.value.failed.code is code
