import pytest
from structlog.testing import capture_logs

from proxy.streams.log import RUN_BYTES
from services.wire.events import ConnectionEnd, Finished, FinishReason, Phase, Status, Thinking, Timing, Token
from tests.proxy.stage import ListSink, StreamStage, Words, a_stream, turns

DONE = Finished(FinishReason.STOP, None, 0, 0, Timing(0, None, None, None, None, 1, None), None)


def finish(stage: StreamStage) -> None:
    stage.stream.finish(FinishReason.CANCELLED)


# --- live


async def test_a_live_follower_is_handed_each_chunk_in_the_tick_in_which_it_came() -> None:
    async with a_stream() as stage:
        follower, sink, _ = await stage.reader()
        stage.say("Hel")
        stage.say("lo", "!")

        assert sink.writes == [b"1=start ", b"2=Hel ", b"4=lo! "]
        assert not follower.is_behind


async def test_one_chunk_is_one_write_whatever_it_holds() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader()
        stage.stream.log.text(Thinking, "hm")
        stage.say("a", "b")

        assert sink.writes[1:] == [b"2=<hm> 4=ab "]


async def test_a_chunk_without_content_is_no_write() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader()
        stage.say()
        stage.say("")

        assert sink.writes == [b"1=start "]


async def test_the_end_is_handed_on_in_the_same_tick_and_ends_the_follower() -> None:
    async with a_stream() as stage:
        _, sink, task = await stage.reader()
        finish(stage)
        at_once = list(sink.writes)
        await task

        assert at_once == sink.writes == [b"1=start ", b"2=cancelled "]


async def test_a_chunk_larger_than_a_catch_up_s_piece_is_owed_to_nobody_afterwards() -> None:
    """Nothing may wait for the next chunk: there may be none."""
    async with a_stream(log_bytes=8 << 20) as stage:
        follower, sink, _ = await stage.reader()
        parts = [character * RUN_BYTES for character in "abcdefghijklmnop"]
        stage.say(*parts)
        await turns()

        assert follower.position == stage.stream.log.last
        assert sum(sink.text.count(part) for part in parts) == len(parts)
        assert not sink.aborted


# --- joining


async def test_who_joins_late_gets_the_past_merged_and_then_goes_live_without_a_gap() -> None:
    async with a_stream() as stage:
        stage.say("a", "b")
        stage.say("c")
        _, sink, _ = await stage.reader()
        stage.say("d")

        assert sink.writes == [b"1=start 4=abc ", b"5=d "]


@pytest.mark.parametrize("position", [0, 1, 2, 3, 4])
async def test_who_joins_after_a_number_gets_what_follows_it(position: int) -> None:
    async with a_stream() as stage:
        stage.say("a", "b", "c")
        _, sink, _ = await stage.reader(position=position)
        stage.say("d")
        texts = "".join(part.partition("=")[2] for part in sink.text.split())

        assert texts == "startabcd"[0 if position == 0 else 5 + position - 1 :]


async def test_who_joins_after_the_end_gets_all_and_is_over() -> None:
    async with a_stream() as stage:
        stage.say("a")
        finish(stage)
        _, sink, task = await stage.reader()
        await task

        assert sink.text == "1=start 2=a 3=cancelled "


async def test_what_comes_between_joining_and_following_is_not_lost() -> None:
    """The headers are sent in between: an await."""
    async with a_stream() as stage:
        follower, sink = stage.join(), ListSink()
        stage.say("early")
        await stage.reading(follower, sink)
        stage.say("late")

        assert sink.text == "1=start 2=early 3=late "


async def test_what_is_there_already_leaves_with_the_headers_and_is_not_written_again() -> None:
    async with a_stream() as stage:
        stage.say("early")
        follower, sink = stage.join(), ListSink()
        with_the_headers = follower.first_frames()
        stage.say("meanwhile")
        await stage.reading(follower, sink)
        stage.say("late")

        assert with_the_headers == b"1=start 2=early "
        assert sink.writes == [b"3=meanwhile ", b"4=late "]


async def test_a_follower_that_has_everything_has_no_first_frames() -> None:
    async with a_stream() as stage:
        assert stage.join(position=1).first_frames() == b""


async def test_first_frames_that_have_left_the_log_cut_the_follower() -> None:
    async with a_stream(log_bytes=2 * RUN_BYTES) as stage:
        for _ in range(5):
            stage.say("x" * RUN_BYTES)
        follower = stage.join()

        assert follower.first_frames() == b""
        assert follower.cut_as is ConnectionEnd.SLOW_CLIENT


# --- pausing


async def test_a_follower_whose_transport_asks_for_a_pause_falls_behind_and_is_handed_nothing() -> None:
    """It keeps a position and nothing else: what comes meanwhile lies in the log alone."""
    async with a_stream() as stage:
        follower, sink, _ = await stage.reader(room=2)
        for part in "abc":
            stage.say(part)
            await turns()

        assert sink.writes == [b"1=start ", b"2=a "]
        assert follower.is_behind


async def test_a_follower_whose_transport_asks_for_no_pause_does_not_fall_behind() -> None:
    async with a_stream() as stage:
        follower, sink, _ = await stage.reader(room=100)
        for part in "abcdef":
            stage.say(part)
        await turns()

        assert len(sink.writes) == 7
        assert not follower.is_behind


async def test_who_fell_behind_catches_up_merged_and_goes_live_again() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader(room=2)
        for part in "abcdef":
            stage.say(part)
        sink.take()
        await turns()
        stage.say("g")

        assert sink.writes == [b"1=start ", b"2=a ", b"7=bcdef ", b"8=g "]


async def test_who_catches_up_is_paused_again_when_its_transport_asks_for_it() -> None:
    async with a_stream(log_bytes=8 << 20) as stage:
        follower, sink, _ = await stage.reader(room=1)
        for _ in range(40):
            stage.say("x" * RUN_BYTES)
        sink.take(room=2)
        await turns()

        assert len(sink.writes) == 3
        assert follower.is_behind


async def test_while_one_reader_is_slow_another_notices_nothing() -> None:
    async with a_stream() as stage:
        slow, slow_sink, _ = await stage.reader("slow-reader", room=1)
        _, quick_sink, _ = await stage.reader("quick-reader")
        for part in "abc":
            stage.say(part)

        assert quick_sink.text == "1=start 2=a 3=b 4=c "
        assert slow.is_behind
        assert "c" not in slow_sink.text


async def test_a_reader_behind_gets_the_end_once_it_takes_bytes_again() -> None:
    async with a_stream() as stage:
        _, sink, task = await stage.reader(room=1)
        stage.say("a")
        finish(stage)
        sink.take()
        await task

        assert sink.text == "1=start 2=a 3=cancelled "


# --- cuts


async def test_a_reader_whose_number_has_left_the_log_is_cut_without_a_terminal_event() -> None:
    async with a_stream(log_bytes=4 * RUN_BYTES) as stage:
        follower, sink, task = await stage.reader(room=1)
        for _ in range(8):
            stage.say("x" * RUN_BYTES)
        finish(stage)
        sink.take()
        await task

        assert follower.cut_as is ConnectionEnd.SLOW_CLIENT
        assert sink.aborted
        assert "cancelled" not in sink.text


async def test_a_reader_within_the_log_is_not_cut_however_far_behind() -> None:
    async with a_stream(log_bytes=16 * RUN_BYTES) as stage:
        follower, sink, task = await stage.reader(room=1)
        for _ in range(8):
            stage.say("x" * RUN_BYTES)
        finish(stage)
        sink.take()
        await task

        assert follower.cut_as is None
        assert sink.text.count("x") == 8 * RUN_BYTES


async def test_a_cut_ends_the_follower_and_the_first_reason_stands() -> None:
    async with a_stream() as stage:
        follower, sink, task = await stage.reader()
        follower.cut(ConnectionEnd.SLOW_CLIENT)
        follower.cut(ConnectionEnd.CLIENT_GONE)
        await task
        stage.say("a")

        assert follower.cut_as is ConnectionEnd.SLOW_CLIENT
        assert sink.aborted
        assert sink.text == "1=start "


async def test_a_cut_before_following_began_writes_nothing() -> None:
    async with a_stream() as stage:
        follower, sink = stage.join(), ListSink()
        follower.cut(ConnectionEnd.CLIENT_GONE)
        task = await stage.reading(follower, sink)
        await task

        assert sink.writes == []


class BrokenSink(ListSink):
    """A sink that fails at its third write."""

    def write(self, frames: bytes, _framed: bytes = b"", _last: bool = False) -> bool:
        if len(self.writes) == 2:
            raise RuntimeError("broken")
        return super().write(frames)


async def test_a_failing_sink_cuts_its_own_follower_only() -> None:
    async with a_stream() as stage:
        broken, broken_sink = stage.join("broken-one"), BrokenSink()
        await stage.reading(broken, broken_sink)
        _, sink, _ = await stage.reader("sound-one")
        with capture_logs() as lines:
            for part in "abc":
                stage.say(part)

        assert broken.cut_as is ConnectionEnd.CLIENT_GONE
        assert sink.text == "1=start 2=a 3=b 4=c "
        assert [line["event"] for line in lines] == ["follower.failed"]


# --- status


async def test_who_joins_is_told_what_the_stream_waits_for() -> None:
    async with a_stream() as stage:
        follower, sink = stage.join(), ListSink()
        stage.stream.show(Status(Phase.QUEUED, 2))
        await stage.reading(follower, sink)

        assert sink.writes == [b"1=start ", b"(queued2) "]


async def test_a_status_is_for_live_readers_that_take_bytes() -> None:
    async with a_stream() as stage:
        live, live_sink, _ = await stage.reader("live")
        slow, slow_sink, _ = await stage.reader("slow", room=1)
        joined = stage.join("not-yet-following")
        for follower in (live, slow, joined):
            follower.show(Status(Phase.LOADING))

        assert live_sink.text == "1=start (loading) "
        assert slow_sink.text == "1=start "


@pytest.mark.parametrize("position", [0, 1])
async def test_a_follower_knows_the_stream_from_its_start_frame_on(position: int) -> None:
    async with a_stream() as stage:
        assert stage.stream.join(Words(), name="", position=position).knows_the_stream is (position > 0)


async def test_a_follower_that_was_written_its_start_knows_the_stream() -> None:
    async with a_stream() as stage:
        follower, _, _ = await stage.reader()

        assert follower.knows_the_stream


async def test_a_follower_merges_by_the_log_not_by_the_chunk() -> None:
    async with a_stream() as stage:
        stage.stream.log.text(Token, "a")
        _, sink, _ = await stage.reader(position=1)
        stage.stream.log.append(DONE)
        stage.stream.deliver()

        assert sink.writes == [b"2=a ", b"3=stop "]
