import asyncio

import pytest

from proxy.streams.caller import CANCEL_GRACE_S, Leave, Lifetimes
from proxy.streams.presence import MAX_FOLLOWERS, TooManyFollowers
from services.wire.events import (
    Code,
    Completion,
    Failed,
    Finished,
    FinishReason,
    Phase,
    ServedBy,
    Started,
    Status,
    Usage,
)
from tests.eventually import soon
from tests.proxy.stage import STREAM_ID, StreamStage, a_stream, turns

FAILED = Failed(Code.UPSTREAM_ERROR, "words")
WORD = Completion(FinishReason.STOP, Usage(3, 9), 0.5, 0.25, fields={"eval_count": 9})
SHORT_S = 0.05


def ended_as(stage: StreamStage) -> str | None:
    end = stage.stream.log.end
    return None if end is None else str(end.reason if isinstance(end, Finished) else end.code)


# --- its life


@pytest.mark.parametrize(("leave", "window_s"), [(Leave.DIRECT, 0), (Leave.CANCEL, 5), (Leave.CONTINUE, 30)])
async def test_a_stream_begins_with_a_start_that_says_how_long_it_goes_on_unfollowed(
    leave: Leave, window_s: float
) -> None:
    async with a_stream(leave) as stage:
        assert stage.stream.log.after(0) == [(1, Started(STREAM_ID, "llama3.2", window_s))]


def test_a_cancel_stream_waits_five_seconds_whatever_the_grace() -> None:
    lifetimes = Lifetimes(grace_s=99, keep_s=100)

    assert [lifetimes.unfollowed_s(leave) for leave in Leave] == [0.0, CANCEL_GRACE_S, 99]


async def test_the_state_is_the_word_of_the_protocol() -> None:
    async with a_stream() as stage:
        states = [stage.stream.state]
        stage.stream.timeline.admitted = 1.0
        states.append(stage.stream.state)
        stage.say("a")
        states.append(stage.stream.state)
        stage.stream.finish(WORD)
        states.append(stage.stream.state)

    assert states == ["queued", "starting", "streaming", "finished"]


async def test_a_failed_stream_s_state_is_failed() -> None:
    async with a_stream() as stage:
        stage.stream.fail(FAILED)

        assert stage.stream.state == "failed"


async def test_a_finished_stream_s_numbers_are_exact() -> None:
    async with a_stream() as stage:
        stage.say("Hel", "lo", "ё")
        stage.stream.attempts, stage.stream.log.skipped_lines = 2, 1
        stage.stream.finish(WORD)
        end = stage.stream.log.end

        assert isinstance(end, Finished)
        assert (end.reason, end.usage, end.chunks, end.bytes) == (FinishReason.STOP, Usage(3, 9), 3, 7)
        assert (end.served_by, end.skipped_lines) == (ServedBy("ollama", "llama3.2", 2), 1)
        assert end.last_word == {"eval_count": 9}


async def test_a_stream_that_never_asked_was_served_by_nobody() -> None:
    async with a_stream() as stage:
        stage.stream.stop(FinishReason.CANCELLED)
        end = stage.stream.log.end

        assert isinstance(end, Finished)
        assert (end.served_by, end.usage, end.timing.load_ms) == (None, None, None)


async def test_the_first_end_wins_and_the_upstream_call_is_closed_each_time() -> None:
    async with a_stream() as stage:
        stage.stream.stop(FinishReason.CANCELLED)
        stage.stream.stop(FinishReason.ABANDONED)
        stage.stream.fail(FAILED)

        assert stage.stream.finish(WORD) is False
        assert ended_as(stage) == "cancelled"
        assert stage.aborts == 3


async def test_the_terminal_event_reaches_followers_before_the_upstream_call_is_closed() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader()
        seen: list[str] = []
        stage.stream.produced_by(lambda: seen.append(sink.text))
        stage.stream.stop(FinishReason.CANCELLED)

        assert seen == ["1=start 2=cancelled "]


async def test_what_the_log_grows_by_is_told_and_adds_up_to_its_size() -> None:
    async with a_stream(log_bytes=1 << 16) as stage:
        for _ in range(30):
            stage.say("x" * 10_000)
        stage.stream.finish(WORD)

        assert sum(stage.grown) == stage.stream.log.size
        assert min(stage.grown) < 0


async def test_released_is_said_once_and_a_second_word_is_harmless() -> None:
    async with a_stream() as stage:
        stage.stream.producer_ended()
        stage.stream.producer_ended()

        assert stage.stream.upstream_closed.is_reached


# --- the commit


async def test_a_failure_before_the_commit_is_an_http_status() -> None:
    async with a_stream() as stage:
        stage.stream.fail(FAILED)

        assert await stage.stream.headers_ready.reached() is False


@pytest.mark.parametrize("what", ["content", "place in line", "an end that is no failure"])
async def test_after_the_commit_a_failure_is_an_event(what: str) -> None:
    async with a_stream() as stage:
        if what == "content":
            stage.stream.content_began()
        elif what == "place in line":
            stage.stream.commit()
        else:
            stage.stream.stop(FinishReason.CANCELLED)
        stage.stream.fail(FAILED)

        assert await stage.stream.headers_ready.reached() is True


async def test_headers_leave_a_second_after_the_stream_was_accepted() -> None:
    async with a_stream() as stage:
        loop = asyncio.get_running_loop()
        began = loop.time()
        ready = await stage.stream.headers_ready.reached()

        assert ready is True
        assert loop.time() - began >= 0.95


# --- status


async def test_a_status_reaches_live_followers_and_is_kept_for_who_joins() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader("first")
        stage.stream.show(Status(Phase.QUEUED, 2))
        await soon(lambda: "(queued2)" in sink.text, "the status is shown")
        _, later_sink, _ = await stage.reader("later")

        assert later_sink.text == "1=start (queued2) "


async def test_one_status_a_second_and_the_newest_word_gets_out() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader()
        loop = asyncio.get_running_loop()
        stage.stream.show(Status(Phase.QUEUED, 3))
        await soon(lambda: "queued3" in sink.text, "the first is shown")
        first = loop.time()
        stage.stream.show(Status(Phase.QUEUED, 2))
        stage.stream.show(Status(Phase.QUEUED, 1))
        await soon(lambda: "queued1" in sink.text, "the newest is shown")

        assert loop.time() - first >= 0.95
        assert "queued2" not in sink.text


async def test_no_status_follows_content_or_the_end() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader()
        stage.stream.show(Status(Phase.LOADING))
        stage.stream.content_began()
        await turns()
        _, later_sink, _ = await stage.reader("later")
        stage.stream.show(Status(Phase.LOADING))
        stage.stream.stop(FinishReason.CANCELLED)
        await turns()

        assert "loading" not in sink.text + later_sink.text


# --- followers


async def test_eight_may_follow_and_a_ninth_may_not_until_one_has_left() -> None:
    """C13."""
    async with a_stream() as stage:
        followers = [stage.join(f"follower-{number}") for number in range(MAX_FOLLOWERS)]

        with pytest.raises(TooManyFollowers):
            stage.join("one-too-many")

        stage.stream.leave(followers[3])
        assert stage.join("in-time") in stage.stream.followers


async def test_a_follower_that_leaves_twice_leaves_once() -> None:
    async with a_stream(Leave.DIRECT) as stage:
        one, _ = stage.join("one"), stage.join("other")
        stage.stream.leave(one)
        stage.stream.leave(one)

        assert len(stage.stream.followers) == 1
        assert ended_as(stage) is None


# What becomes of a running stream when its follower's connection is over without a word (ARCHITECTURE.md,
# "Cancellation"): the end at once, or the wait whose end is `abandoned`.
VANISHED = [
    (Leave.DIRECT, "began", "after start", "cancelled"),
    (Leave.DIRECT, "began", "before start", "cancelled"),
    (Leave.DIRECT, "joined", "after start", "cancelled"),
    (Leave.CANCEL, "began", "after start", "waits"),
    (Leave.CANCEL, "began", "before start", "cancelled"),
    (Leave.CANCEL, "joined", "after start", "waits"),
    (Leave.CANCEL, "joined", "before start", "waits"),
    (Leave.CONTINUE, "began", "after start", "waits"),
    (Leave.CONTINUE, "began", "before start", "cancelled"),
    (Leave.CONTINUE, "joined", "after start", "waits"),
    (Leave.CONTINUE, "joined", "before start", "waits"),
]


@pytest.mark.parametrize(("leave", "who", "when", "outcome"), VANISHED)
async def test_when_the_last_follower_vanishes_without_a_word(leave: Leave, who: str, when: str, outcome: str) -> None:
    async with a_stream(leave) as stage:
        follower = stage.join("the-follower", 1 if when == "after start" else 0, began=who == "began")
        stage.stream.leave(follower)

        assert (ended_as(stage) or "waits") == outcome
        assert stage.aborts == (outcome == "cancelled")


@pytest.mark.parametrize(("leave", "who", "when", "_outcome"), VANISHED)
async def test_when_one_of_two_followers_vanishes_the_stream_goes_on(
    leave: Leave, who: str, when: str, _outcome: str
) -> None:
    """The last one counts."""
    async with a_stream(leave) as stage:
        follower = stage.join("the-follower", 1 if when == "after start" else 0, began=who == "began")
        stage.join("another", 1)
        stage.stream.leave(follower)

        assert ended_as(stage) is None
        assert stage.aborts == 0


# What a gateway's word that the follower left on purpose means; `unseen`: its client never got the headers.
DEPARTED = [
    (Leave.CANCEL, "began", "after start", "seen", "cancelled"),
    (Leave.CANCEL, "began", "before start", "unseen", "cancelled"),
    (Leave.CANCEL, "joined", "after start", "seen", "cancelled"),
    (Leave.CANCEL, "joined", "before start", "unseen", "cancelled"),
    (Leave.CONTINUE, "began", "after start", "seen", "waits"),
    (Leave.CONTINUE, "began", "after start", "unseen", "cancelled"),
    (Leave.CONTINUE, "began", "before start", "seen", "cancelled"),
    (Leave.CONTINUE, "began", "before start", "unseen", "cancelled"),
    (Leave.CONTINUE, "joined", "after start", "seen", "waits"),
    (Leave.CONTINUE, "joined", "before start", "unseen", "waits"),
]


@pytest.mark.parametrize(("leave", "who", "when", "headers", "outcome"), DEPARTED)
async def test_when_the_last_follower_departs_on_purpose(
    leave: Leave, who: str, when: str, headers: str, outcome: str
) -> None:
    async with a_stream(leave) as stage:
        follower = stage.join("the-follower", 1 if when == "after start" else 0, began=who == "began")
        stage.stream.depart("the-follower", unseen=headers == "unseen")

        assert (ended_as(stage) or "waits") == outcome
        assert follower.cut_as == "client_gone"
        assert len(stage.stream.followers) == 0


@pytest.mark.parametrize(("leave", "who", "when", "headers", "outcome"), DEPARTED)
async def test_the_word_may_come_after_the_socket_closed(
    leave: Leave, who: str, when: str, headers: str, outcome: str
) -> None:
    async with a_stream(leave) as stage:
        follower = stage.join("the-follower", 1 if when == "after start" else 0, began=who == "began")
        stage.stream.leave(follower)
        stage.stream.depart("the-follower", unseen=headers == "unseen")

        assert (ended_as(stage) or "waits") == outcome


@pytest.mark.parametrize(("leave", "who", "when", "headers", "_outcome"), DEPARTED)
async def test_when_one_of_two_followers_departs_the_stream_goes_on(
    leave: Leave, who: str, when: str, headers: str, _outcome: str
) -> None:
    async with a_stream(leave) as stage:
        stage.join("the-follower", 1 if when == "after start" else 0, began=who == "began")
        stage.join("another", 1)
        stage.stream.depart("the-follower", unseen=headers == "unseen")

        assert ended_as(stage) is None
        assert [follower.name for follower in stage.stream.followers] == ["another"]


async def test_a_follower_that_departs_is_cut_at_once_and_reads_nothing_more() -> None:
    async with a_stream(Leave.CANCEL) as stage:
        _, sink, task = await stage.reader("the-follower")
        stage.join("another", 1)
        stage.stream.depart("the-follower", unseen=False)
        stage.say("a")
        await task

        assert sink.aborted
        assert sink.text == "1=start "


async def test_a_stream_that_nobody_comes_back_to_is_abandoned_after_its_grace_and_not_before() -> None:
    async with a_stream(Leave.CONTINUE, grace_s=SHORT_S) as stage:
        loop = asyncio.get_running_loop()
        follower = stage.join("gone", 1)
        began = loop.time()
        stage.stream.leave(follower)
        await soon(lambda: ended_as(stage), "it is abandoned")

        assert ended_as(stage) == "abandoned"
        assert loop.time() - began >= SHORT_S - 0.001
        assert stage.aborts == 1


async def test_who_comes_back_in_time_keeps_the_stream() -> None:
    async with a_stream(Leave.CONTINUE, grace_s=SHORT_S) as stage:
        stage.stream.leave(stage.join("gone", 1))
        stage.join("back", 1)
        await asyncio.sleep(2 * SHORT_S)  # the time in which it must not be abandoned

        assert ended_as(stage) is None


async def test_a_finished_stream_is_forgotten_after_its_keep_and_not_before() -> None:
    async with a_stream(keep_s=SHORT_S) as stage:
        loop = asyncio.get_running_loop()
        began = loop.time()
        stage.stream.finish(WORD)
        before = list(stage.forgotten)
        await soon(lambda: stage.forgotten, "it is forgotten")

        assert before == []
        assert stage.forgotten == [stage.stream]
        assert loop.time() - began >= SHORT_S - 0.001


async def test_a_finished_stream_is_kept_from_its_last_follower_s_leaving_on() -> None:
    """The end or the last leaving, whichever is later."""
    async with a_stream(keep_s=SHORT_S) as stage:
        loop = asyncio.get_running_loop()
        follower = stage.join("reads-on", 1)
        stage.stream.finish(WORD)
        await asyncio.sleep(2 * SHORT_S)  # the time in which it must not be forgotten
        kept = list(stage.forgotten)
        left = loop.time()
        stage.stream.leave(follower)
        await soon(lambda: stage.forgotten, "it is forgotten")

        assert kept == []
        assert loop.time() - left >= SHORT_S - 0.001


async def test_a_word_about_a_follower_of_a_finished_stream_changes_nothing() -> None:
    async with a_stream(Leave.CANCEL) as stage:
        stage.join("the-follower", 1)
        stage.stream.finish(WORD)
        stage.stream.depart("the-follower", unseen=True)

        assert ended_as(stage) == "stop"
        assert stage.aborts == 0
