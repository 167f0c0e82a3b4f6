from collections.abc import Mapping, Sequence

import orjson
import pytest
from structlog.testing import capture_logs

from proxy.providers.adapter import Adapter, AttemptFailed, Outcome, Question
from proxy.providers.ollama import OllamaAdapter
from proxy.upstream.call import REFUSAL_BYTES, UpstreamCall
from services.http.connection import ResponseEnd, ResponseReader
from services.telemetry.stream_metrics import CHUNKS_PER_SAMPLE
from services.wire.events import Code, Completion, Failed, Finished, Stage, Token
from tests.proxy.stage import REQUEST, StreamStage, a_stream
from tests.proxy.upstream.broken_adapter import Broken

TIMED_OUT = Failed(Code.UPSTREAM_TIMEOUT, "words", Stage.IDLE)


def line(content: str = "", *, done: bool = False, **fields: object) -> bytes:
    return orjson.dumps({"message": {"role": "assistant", "content": content}, "done": done, **fields}) + b"\n"


LAST = line(done=True, done_reason="stop", eval_count=3, prompt_eval_count=2)


def unheard(_seconds: float) -> None:
    """Nobody counts."""


class Asked:
    """One call of the model, whose connection is a list of what it brings."""

    def __init__(self, stage: StreamStage, adapter: Adapter | None = None) -> None:
        self.stage = stage
        self.gaps: list[float] = []
        self.passed: list[float] = []
        self.told: list[Outcome] = []
        self.call = UpstreamCall(
            stage.stream,
            adapter or OllamaAdapter(Question(REQUEST, "m")),
            self._hears_of,
            self.gaps.append,
            self.passed.append,
        )

    def _hears_of(self, outcome: Outcome) -> None:
        """As the producer does in a turn that ends the answer."""
        self.told.append(outcome)
        if not isinstance(outcome, AttemptFailed):
            self.stage.stream.finish(outcome)

    def hears(self, *chunks: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> "Asked":
        reader: ResponseReader = self.call
        reader.on_head(status, headers or {})
        for chunk in chunks:
            reader.on_bytes(chunk)
        return self

    def ends(self, end: ResponseEnd) -> "Asked":
        self.call.on_end(end)
        return self

    @property
    def outcome(self) -> Outcome:
        """What was told, once."""
        [outcome] = self.told
        return outcome

    @property
    def failed(self) -> AttemptFailed:
        assert isinstance(self.outcome, AttemptFailed)
        return self.outcome

    @property
    def end(self) -> str:
        """What became of it, in a word."""
        outcome = self.outcome
        assert not isinstance(outcome, AttemptFailed)
        return str(outcome.reason) if isinstance(outcome, Completion) else str(outcome.code)

    @property
    def text(self) -> str:
        return "".join(event.content for _, event in self.stage.stream.log.after(0) if isinstance(event, Token))


# --- an answer


async def test_an_answer_reaches_its_followers_chunk_by_chunk_and_ends_by_its_last_word() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader()
        asked = Asked(stage).hears(line("Hel"), line("lo") + line("!"), LAST)

        assert sink.writes == [b"1=start ", b"2=Hel ", b"4=lo! ", b"5=stop "]
        assert asked.end == "stop"
        assert asked.call.has_content


@pytest.mark.parametrize("size", [1, 7, 40])
async def test_where_the_bytes_were_cut_makes_no_difference(size: int) -> None:
    body = line("Hel") + line("lo ёж 🌊") + LAST
    async with a_stream() as stage:
        asked = Asked(stage).hears(*[body[at : at + size] for at in range(0, len(body), size)])

        assert (asked.text, asked.end) == ("Hello ёж 🌊", "stop")


async def test_content_and_the_last_word_in_one_chunk_are_both_handed_on() -> None:
    async with a_stream() as stage:
        _, sink, _ = await stage.reader()
        Asked(stage).hears(line("all") + LAST)

        assert sink.text == "1=start 2=all 3=stop "


async def test_the_first_content_commits_the_stream_and_takes_its_status_away() -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(line())
        ready_early = stage.stream.headers_ready.is_reached
        asked.hears(line("a"))

        assert not ready_early
        assert await stage.stream.headers_ready.reached() is True
        assert stage.stream.timeline.first_content is not None


async def test_what_follows_the_last_word_is_nobody_s_and_moves_no_moment() -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(LAST)
        answered = stage.stream.timeline.answered
        asked.hears(line("more"), LAST).ends(ResponseEnd.COMPLETE)

        assert (asked.text, asked.end) == ("", "stop")
        assert asked.call.whole
        assert stage.stream.log.late == 2
        assert stage.stream.timeline.answered == answered


async def test_thinking_is_content_and_no_answer_yet() -> None:
    async with a_stream() as stage:
        asked = Asked(stage)
        asked.hears(b'{"message":{"thinking":"hm"},"done":false}\n')
        thought = stage.stream.timeline.first_answer
        asked.hears(line("a"))

        assert thought is None
        assert stage.stream.timeline.first_answer is not None
        assert asked.call.has_content


async def test_gaps_are_told_between_chunks_with_content_only() -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(line(), line("a"), line(), line("b") + line("c"), line("d"), LAST)

        assert len(asked.gaps) == 2
        assert min(asked.gaps) >= 0


async def test_one_chunk_in_sixteen_is_timed_on_its_way_and_only_while_somebody_reads() -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(*[line("x")] * (2 * CHUNKS_PER_SAMPLE))
        unread = len(asked.passed)
        await stage.reader()
        asked.hears(*[line("x")] * (2 * CHUNKS_PER_SAMPLE))

        assert (unread, len(asked.passed)) == (0, 2)
        assert min(asked.passed) >= 0


async def test_skipped_lines_are_said_at_the_end() -> None:
    """M3."""
    async with a_stream() as stage:
        Asked(stage).hears(line("a"), b"oops\n", LAST)

        end = stage.stream.log.end
        assert isinstance(end, Finished)
        assert end.skipped_lines == 1


async def test_the_moment_of_the_call_that_answered_is_kept() -> None:
    async with a_stream() as stage:
        asked = Asked(stage)
        asked.hears(line("a"))

        assert stage.stream.timeline.asked == asked.call.asked_at


async def test_a_call_tells_its_outcome_in_the_turn_of_the_read_and_ends_no_stream() -> None:
    """What it means for the answer is the producer's to say: another turn may follow."""
    async with a_stream() as stage:
        told: list[Outcome] = []
        call = UpstreamCall(stage.stream, OllamaAdapter(Question(REQUEST, "m")), told.append, unheard, unheard)
        call.on_head(200, {})
        call.on_bytes(line("a") + LAST)
        call.time_out(TIMED_OUT)
        call.give_up(AttemptFailed(TIMED_OUT, "wedged"))
        call.on_end(ResponseEnd.DISCONNECTED)

        assert [type(outcome) for outcome in told] == [Completion]
        assert call.outcome is told[0]
        assert stage.stream.log.end is None


async def test_what_a_call_brings_that_was_given_up_is_not_shown() -> None:
    """Another attempt follows it, whose answer must not begin with a piece of this one's."""
    async with a_stream() as stage:
        asked = Asked(stage).hears(line())
        asked.call.give_up(AttemptFailed(TIMED_OUT, "wedged"))
        asked.hears(line("a"), LAST)

        assert (asked.text, asked.failed.why, asked.call.has_content) == ("", "wedged", False)
        assert (stage.stream.log.end, stage.stream.log.late) == (None, 0)


# --- ends of the body

ENDS: list[tuple[str, Sequence[bytes], ResponseEnd, str]] = [
    ("clean, after text", [line("a")], ResponseEnd.COMPLETE, "eof, not again, upstream_truncated"),
    ("clean, after blank lines", [b"\n", b" \n"], ResponseEnd.COMPLETE, "eof, again, upstream_truncated"),
    ("broken, after half a line", [b'{"mess'], ResponseEnd.DISCONNECTED, "reset, again, upstream_disconnected"),
    ("clean, without a byte", [], ResponseEnd.COMPLETE, "eof, again, upstream_truncated"),
    ("clean, after an empty line", [line()], ResponseEnd.COMPLETE, "eof, not again, upstream_truncated"),
    ("broken, after text", [line("a")], ResponseEnd.DISCONNECTED, "reset, again, upstream_disconnected"),
    ("broken, without a byte", [], ResponseEnd.DISCONNECTED, "reset, again, upstream_disconnected"),
    ("a pooled connection's death", [], ResponseEnd.STALE, "stale, again, upstream_disconnected"),
]


@pytest.mark.parametrize(("name", "chunks", "end", "outcome"), ENDS, ids=[name for name, *_ in ENDS])
async def test_a_body_that_ends_without_the_last_word_is_a_refusal_for_the_chain(
    name: str, chunks: Sequence[bytes], end: ResponseEnd, outcome: str
) -> None:
    """U1-U4: whether another call may follow is not this call's to say; it ends nothing."""
    async with a_stream() as stage:
        refusal = Asked(stage).hears(*chunks).ends(end).failed
        again = "again" if refusal.again else "not again"

        assert f"{refusal.why}, {again}, {refusal.failed.code}" == outcome, name
        assert stage.stream.log.end is None


async def test_a_connection_that_broke_before_its_head_is_a_reset() -> None:
    async with a_stream() as stage:
        refusal = Asked(stage).ends(ResponseEnd.DISCONNECTED).failed

        assert (refusal.why, refusal.again) == ("reset", True)


@pytest.mark.parametrize("end", [ResponseEnd.COMPLETE, ResponseEnd.DISCONNECTED])
async def test_a_last_word_without_its_newline_is_heard_at_the_end_of_the_body(end: ResponseEnd) -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(line("a"), LAST[:-1]).ends(end)

        assert asked.end == "stop"


async def test_an_error_line_settles_the_stream() -> None:
    """U11: final, under status 200; never asked again."""
    async with a_stream() as stage:
        asked = Asked(stage).hears(line("a"), b'{"error":"it broke"}\n')

        assert (asked.text, asked.end) == ("a", "upstream_error")


async def test_what_is_not_http_settles_the_stream() -> None:
    """M12."""
    async with a_stream() as stage:
        asked = Asked(stage).hears(line("a")).ends(ResponseEnd.MALFORMED)

        assert (asked.text, asked.end) == ("a", "upstream_malformed")


async def test_an_end_after_the_last_word_changes_nothing() -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(LAST).ends(ResponseEnd.DISCONNECTED)

        assert asked.end == "stop"


async def test_a_deadline_that_passes_settles_the_stream_and_what_comes_late_is_dropped() -> None:
    """U7, U8: closing kills the model's load, so it is not asked again."""
    async with a_stream() as stage:
        asked = Asked(stage).hears(line("a"))
        asked.call.time_out(TIMED_OUT)
        asked.hears(line("late"), LAST).ends(ResponseEnd.COMPLETE)

        assert (asked.text, asked.end) == ("a", "upstream_timeout")


# --- refusals


@pytest.mark.parametrize(
    ("status", "why", "code"),
    [
        (404, "404", Code.MODEL_NOT_FOUND),
        (400, "400", Code.INVALID_REQUEST),
        (500, "500", Code.UPSTREAM_ERROR),
        (503, "503", Code.UPSTREAM_UNAVAILABLE),
        (302, "other", Code.UPSTREAM_ERROR),
    ],
)
async def test_another_status_is_a_refusal_once_its_body_is_here(status: int, why: str, code: Code) -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(b'{"error":', b'"words"}', status=status, headers={"retry-after": "2"})
        early = list(asked.told)
        refusal = asked.ends(ResponseEnd.COMPLETE).failed

        assert early == []
        assert (refusal.why, refusal.failed.code) == (why, code)
        assert refusal.wait_s == (2.0 if status in {500, 503} else None)
        assert asked.text == ""


@pytest.mark.parametrize(("body", "code"), [(b'{"err', Code.UPSTREAM_ERROR), (b'{"error":"x"}', Code.MODEL_NOT_FOUND)])
async def test_a_refusal_whose_body_broke_off_is_still_a_refusal(body: bytes, code: Code) -> None:
    async with a_stream() as stage:
        refusal = Asked(stage).hears(body, status=404).ends(ResponseEnd.DISCONNECTED).failed

        assert (refusal.failed.code, refusal.again) == (code, False)


# --- failures of ours


@pytest.mark.parametrize(("where", "status"), [("feed", 200), ("end", 200), ("refused", 500)])
async def test_a_failure_in_the_adapter_is_internal_and_not_the_model_server_s(where: str, status: int) -> None:
    """One line in the log; raised into the connection it would break it, and pass for an answer that broke off."""
    async with a_stream() as stage:
        with capture_logs() as lines:
            asked = Asked(stage, Broken(where)).hears(line("a"), line("b"), status=status).ends(ResponseEnd.COMPLETE)

        assert asked.end == "internal"
        assert [entry["event"] for entry in lines] == ["producer.failed"]


# --- what is no answer


@pytest.mark.parametrize(
    ("coding", "told"),
    [("gzip", "gzip"), (" BR ", "br"), ("gzip, br", "unknown"), ("10.0.0.7", "unknown"), ("x" * 33, "unknown")],
)
async def test_a_body_in_a_coding_that_nobody_asked_for_is_told_by_name_and_never_read(coding: str, told: str) -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(line("a"), LAST, headers={"content-encoding": coding})
        end = stage.stream.log.end

        assert (asked.text, asked.end) == ("", "upstream_malformed")
        assert isinstance(end, Failed)
        assert (f"({told})" in end.message, end.may_retry) == (True, False)


@pytest.mark.parametrize("headers", [{"content-encoding": ""}, {"content-encoding": "Identity"}, {}])
async def test_a_body_in_no_coding_is_read(headers: Mapping[str, str]) -> None:
    async with a_stream() as stage:
        assert Asked(stage).hears(line("a"), LAST, headers=headers).end == "stop"


@pytest.mark.parametrize("end", [ResponseEnd.COMPLETE, ResponseEnd.DISCONNECTED])
async def test_a_body_without_a_readable_line_settles_the_stream_and_nobody_is_asked_again(end: ResponseEnd) -> None:
    """M15."""
    async with a_stream() as stage:
        asked = Asked(stage).hears(b"<!DOCTYPE html>\n<html>Sign in").ends(end)

        assert (asked.text, asked.end) == ("", "upstream_malformed")


async def test_a_failure_says_what_was_left_out_of_what_was_shown() -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(line("a"), b"oops\n", b'{"error":"it broke"}\n')
        end = stage.stream.log.end

        assert asked.end == "upstream_error"
        assert isinstance(end, Failed)
        assert end.skipped_lines == 1


async def test_of_a_refusal_s_body_only_a_bounded_part_is_held() -> None:
    async with a_stream() as stage:
        asked = Asked(stage).hears(*[b"x" * 50_000] * 40, status=500)

        assert len(asked.call._refusal_body) == REFUSAL_BYTES  # noqa: SLF001 nothing else shows what is held


async def test_a_second_call_counts_only_its_own_content() -> None:
    """What came "before the first content" is judged per upstream call."""
    async with a_stream() as stage:
        first = Asked(stage).hears(line("a")).ends(ResponseEnd.DISCONNECTED)
        second = Asked(stage).hears(line())

        assert first.call.has_content
        assert not second.call.has_content
