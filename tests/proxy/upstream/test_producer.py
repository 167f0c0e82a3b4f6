import asyncio
import weakref
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from proxy.providers.adapter import Adapter, Question
from proxy.streams.permits import Place
from proxy.upstream.deadlines import IDLE_FACTOR, Deadlines
from services.http.connection import ResponseEnd
from services.wire.events import Code, Failed, Finished, FinishReason, ServedBy, Stage
from services.wire.request import ChatRequest, Tool
from tests.eventually import soon
from tests.proxy.stage import REQUEST, turns
from tests.proxy.upstream.production import BUSY_NOW, MODEL, OWNER, WHOLE, ProducerStage, line, outcome_of, produced
from tests.proxy.upstream.scripted_transport import Attempt, Connects, HangsConnecting, Refuses

# --- an answer


async def test_an_answer_is_produced_and_everything_is_given_back() -> None:
    stage = await outcome_of(WHOLE)

    assert (stage.text, stage.end) == ("Hello", "stop")
    assert (stage.noted.permits, stage.noted.repeats) == (["admitted"], [])
    assert stage.transport.fresh == [False]
    end = stage.stream.log.end
    assert isinstance(end, Finished)
    assert end.served_by == ServedBy("ollama", MODEL, attempts=1)
    stage.assert_everything_is_given_back()


async def test_the_permit_is_given_back_after_the_upstream_connection_is_closed_and_not_before() -> None:
    """At most one generation runs on it."""
    async with produced(Connects([line("a")])) as stage:
        stage.transport.closing_s = 0.02
        await stage.begin()
        await soon(lambda: stage.text, "content came")
        next_one: Place = stage.admission.enter(MODEL, OWNER, chance=0.5)
        stage.stream.stop(FinishReason.CANCELLED)
        await turns(20)
        early = next_one.granted.done()
        await asyncio.wait_for(next_one.granted, 5)

        assert not early
        assert stage.transport.opened[0].call.released.done()


async def test_a_finished_answer_s_connection_may_end_by_itself_and_carry_another() -> None:
    async with produced(WHOLE) as stage:
        aborted: list[bool] = []
        stage.transport.on_close = lambda: aborted.append(True)
        await stage.begin()
        await stage.over()

        assert aborted == []


async def test_a_server_that_does_not_end_its_body_is_waited_for_one_second() -> None:
    async with produced(Connects([line("a"), line(done=True)])) as stage:
        loop = asyncio.get_running_loop()
        await stage.begin()
        await soon(lambda: stage.stream.log.end, "the last word came")
        began = loop.time()
        await stage.over()

        assert loop.time() - began >= 0.95
        assert stage.end == "stop"
        stage.assert_everything_is_given_back()


async def test_a_permit_that_was_given_back_leaves_nothing_for_the_collector() -> None:
    """It knows the stream, whose log it would hold until then."""
    async with produced(WHOLE) as stage:
        assert stage.walk.place is not None
        place = weakref.ref(stage.walk.place)
        await stage.begin()
        await stage.over()
        await turns()

        assert place() is None


async def test_what_was_asked_is_let_go_at_the_end() -> None:
    """A prompt may have megabytes, and a log is kept long after it."""
    stage = await outcome_of(WHOLE)

    assert stage.stream.request == ChatRequest(model=REQUEST.model)


async def test_a_failure_in_the_adapter_is_internal_and_gives_everything_back() -> None:
    def broken(_question: Question) -> Adapter:
        raise RuntimeError("a bug")

    with capture_logs() as lines:
        stage = await outcome_of(WHOLE, adapter=broken)

    assert stage.end == "internal"
    assert [entry["event"] for entry in lines] == ["producer.failed"]
    stage.assert_everything_is_given_back()


async def test_who_leaves_while_a_call_that_timed_out_is_closing_gives_the_permit_back() -> None:
    """The wait for the close was cancelled with its future: whoever waited for that again never went on."""
    at_once = Deadlines(first_token_s=0.01, idle_s=30, total_s=30)
    async with produced(Connects(), deadlines=at_once) as stage:
        stage.transport.closing_s = 0.05
        await stage.begin()
        await soon(lambda: stage.transport.opened and stage.transport.opened[0].closed, "it timed out")
        stage.stream.stop(FinishReason.CANCELLED)
        await stage.over()

    assert stage.end == "upstream_timeout"
    stage.assert_everything_is_given_back()


# --- cancellation at every await

WAITS: dict[str, tuple[list[Attempt], bool]] = {
    "in line": ([WHOLE], True),
    "connecting": ([HangsConnecting()], False),
    "for the head": ([Connects(status=None)], False),
    "for content": ([Connects([line()])], False),
    "streaming": ([Connects([line("a"), line("b")])], False),
    "before asking again": ([Refuses(), WHOLE], False),
    "connecting again": ([BUSY_NOW, HangsConnecting()], False),
    "for the last chunk": ([Connects([line("a"), line(done=True)])], False),
}


def waits(stage: ProducerStage, where: str) -> bool:
    """Whether the producer has come to where it waits."""
    match where:
        case "in line":
            return stage.walk.position == 1
        case "connecting":
            return len(stage.transport.fresh) == 1
        case "for the head" | "for content":
            return len(stage.transport.opened) == 1
        case "streaming":
            return stage.text == "ab"
        case "before asking again":
            return stage.noted.repeats == ["refused"]
        case "connecting again":
            return len(stage.transport.fresh) == 2
        case _:
            return stage.end == "stop"


@pytest.mark.parametrize("where", WAITS)
@pytest.mark.parametrize("how", ["stopped", "failed", "the process ends"])
async def test_wherever_it_waits_it_can_be_ended_and_gives_everything_back(where: str, how: str) -> None:
    """C2, C16: the connection closed, the permit free, the task over, and one terminal event."""
    attempts, in_line = WAITS[where]
    async with produced(*attempts, in_line=in_line) as stage:
        task = await stage.begin()
        await soon(lambda: waits(stage, where), f"it waits {where}")
        await turns()
        if how == "stopped":
            stage.stream.stop(FinishReason.ABANDONED)
        elif how == "failed":
            stage.stream.fail(Failed(Code.SHUTTING_DOWN, "words"))
        else:
            task.cancel()
        await stage.over()

        expected = {"stopped": "abandoned", "failed": "shutting_down", "the process ends": "cancelled"}[how]
        assert stage.end == ("stop" if where == "for the last chunk" else expected)
        assert len(stage.transport.fresh) == {"in line": 0, "connecting again": 2}.get(where, 1)
        assert stage.transport.connecting_given_up == where.startswith("connecting")
        await soon(task.done, "the task is over")
        stage.assert_everything_is_given_back()


async def test_a_stop_before_the_task_first_ran_asks_nobody() -> None:
    async with produced(WHOLE) as stage:
        await stage.begin()
        stage.stream.stop(FinishReason.CANCELLED)
        await stage.over()

        assert (stage.end, stage.transport.fresh) == ("cancelled", [])
        stage.assert_everything_is_given_back()


async def test_a_stop_is_told_in_the_tick_and_measured_until_the_connection_is_closed() -> None:
    """C1: client gone -> upstream closed."""
    async with produced(Connects([line("a")])) as stage:
        await stage.begin()
        await soon(lambda: stage.text, "content came")
        stage.stream.stop(FinishReason.CANCELLED)
        seen = stage.sink.text
        closed = stage.transport.open_connections == 0
        await stage.over()

        assert seen == "1=start 2=a 3=cancelled "
        assert closed
        assert len(stage.noted.closings) == 1


async def test_stopping_twice_is_stopping_once() -> None:
    async with produced(Connects([line("a")])) as stage:
        await stage.begin()
        await soon(lambda: stage.text, "content came")
        stage.stream.stop(FinishReason.CANCELLED)
        stage.stream.stop(FinishReason.CANCELLED)
        await stage.over()
        stage.stream.stop(FinishReason.ABANDONED)

        assert stage.end == "cancelled"
        stage.assert_everything_is_given_back()


async def test_a_queued_stream_that_nobody_follows_is_not_started() -> None:
    async with produced(WHOLE, in_line=True, followed=False) as stage:
        await stage.begin()
        await soon(lambda: stage.walk.position == 1, "it waits")
        assert stage.before is not None
        stage.before.leave()
        await stage.over()

        assert (stage.end, stage.transport.fresh) == ("abandoned", [])
        stage.assert_everything_is_given_back()


# --- asking again

RETRIES: dict[str, tuple[list[Attempt], str, str, list[str]]] = {
    "busy, then well": ([BUSY_NOW, WHOLE], "Hello", "stop", ["503"]),
    "busy twice, then well": ([BUSY_NOW, BUSY_NOW, WHOLE], "Hello", "stop", ["503", "503"]),
    "busy three times": ([BUSY_NOW], "", "upstream_unavailable", ["503", "503"]),
    "a reset before content": (
        [Connects([], ResponseEnd.COMPLETE, 429, {"retry-after": "0"}), Connects([line()], ResponseEnd.DISCONNECTED)],
        "",
        "upstream_disconnected",
        ["429", "reset"],
    ),
    "a reset after content": (
        [Connects([line("a")], ResponseEnd.DISCONNECTED), WHOLE],
        "a",
        "upstream_disconnected",
        [],
    ),
    "a clean end after content": ([Connects([line("a")], ResponseEnd.COMPLETE), WHOLE], "a", "upstream_truncated", []),
    "a clean end after an empty line": (
        [Connects([line()], ResponseEnd.COMPLETE), WHOLE],
        "",
        "upstream_truncated",
        [],
    ),
    "an error line before content": ([Connects([b'{"error":"x"}\n']), WHOLE], "", "upstream_error", []),
    "a model that is missing": (
        [Connects([b'{"error":"no m"}'], ResponseEnd.COMPLETE, 404), WHOLE],
        "",
        "model_not_found",
        [],
    ),
    "a request that is wrong": (
        [Connects([b'{"error":"no"}'], ResponseEnd.COMPLETE, 400), WHOLE],
        "",
        "invalid_request",
        [],
    ),
    "a redirect": ([Connects([], ResponseEnd.COMPLETE, 302), WHOLE], "", "upstream_error", []),
    "a Retry-After beyond patience": (
        [Connects([], ResponseEnd.COMPLETE, 503, {"retry-after": "11"}), WHOLE],
        "",
        "upstream_unavailable",
        [],
    ),
    "no HTTP": ([Connects([], ResponseEnd.MALFORMED, None), WHOLE], "", "upstream_malformed", []),
    "a pooled connection's death": ([Connects([], ResponseEnd.STALE, None), WHOLE], "Hello", "stop", []),
}


@pytest.mark.parametrize("name", RETRIES)
async def test_the_table_of_what_is_asked_again(name: str) -> None:
    """U1-U4, U9-U11, U20: at most three attempts, only before content, the previous connection closed first."""
    attempts, text, end, repeats = RETRIES[name]

    stage = await outcome_of(*attempts)

    assert (stage.text, stage.end, stage.noted.repeats) == (text, end, repeats)
    assert set(stage.transport.open_when_asked) == {0}
    assert stage.transport.fresh == [False] + [True] * (len(stage.transport.fresh) - 1)
    stage.assert_everything_is_given_back()


async def test_a_pooled_connection_s_death_is_no_attempt() -> None:
    """Repeated at once on a fresh connection, beyond the three."""
    stale = Connects([], ResponseEnd.STALE, None)

    stage = await outcome_of(stale, BUSY_NOW, BUSY_NOW, WHOLE)

    assert (stage.text, stage.stream.attempts, len(stage.transport.fresh)) == ("Hello", 3, 4)


async def test_who_is_refused_waits_before_asking_again_and_says_so() -> None:
    async with produced(Refuses(), Refuses("connect_timeout"), WHOLE) as stage:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await stage.begin()
        await soon(lambda: stage.stream.status and stage.stream.status.attempt == 2, "it says it asks again")
        await stage.over()

        assert (stage.text, stage.noted.repeats) == ("Hello", ["refused", "connect_timeout"])
        assert loop.time() - began >= (0.25 + 0.5) * 0.75 - 0.01


# --- deadlines


def short(**deadline_s: float) -> Deadlines:
    return Deadlines(**{"first_token_s": 30, "idle_s": 30, "total_s": 30, **deadline_s})


DEADLINES = {
    "the head": (short(first_token_s=0.1), Connects(status=None), Stage.FIRST_TOKEN, 0.1),
    "the first content": (short(first_token_s=0.1), Connects([line()]), Stage.FIRST_TOKEN, 0.1),
    "the next content": (short(idle_s=0.1), Connects([line("a")]), Stage.IDLE, 0.1),
    "the whole answer, waiting": (short(total_s=0.1), Connects([line()]), Stage.TOTAL, 0.1),
    "the whole answer, streaming": (short(total_s=0.1), Connects([line("a")]), Stage.TOTAL, 0.1),
}


@pytest.mark.parametrize("what", DEADLINES)
async def test_a_model_server_s_silence_ends_the_answer_by_its_stage_and_is_not_asked_again(what: str) -> None:
    """U7, U8, U12."""
    deadlines, attempt, stage_name, limit_s = DEADLINES[what]
    loop = asyncio.get_running_loop()
    began = loop.time()

    stage = await outcome_of(attempt, deadlines=deadlines)

    end = stage.stream.log.end
    assert isinstance(end, Failed)
    assert (end.code, end.stage) == ("upstream_timeout", stage_name)
    assert end.may_retry is (stage_name is not Stage.TOTAL)
    assert loop.time() - began >= limit_s - 0.01
    assert len(stage.transport.fresh) == 1
    stage.assert_everything_is_given_back()


async def test_with_tools_a_model_server_may_be_silent_four_times_as_long() -> None:
    """It holds a whole call back."""
    tools = replace(REQUEST, tools=(Tool("f"),))
    loop = asyncio.get_running_loop()
    began = loop.time()

    stage = await outcome_of(Connects([line("a")]), deadlines=short(idle_s=0.05), request=tools)

    assert stage.end == "upstream_timeout"
    assert loop.time() - began >= IDLE_FACTOR * 0.05 - 0.01


async def test_who_waits_in_line_too_long_gets_queue_timeout_and_leaves_the_line() -> None:
    """O2."""
    stage = await outcome_of(WHOLE, queue_s=0.05, in_line=True)

    assert (stage.end, stage.noted.permits, stage.transport.fresh) == ("queue_timeout", ["timeout"], [])
    stage.assert_everything_is_given_back()
