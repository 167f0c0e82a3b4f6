from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.streams.log import BATCH_BYTES, PART_BYTES, RUN_BYTES, LeftTheLog, StreamLog
from services.wire.events import (
    Code,
    Failed,
    Finished,
    FinishReason,
    Logged,
    Started,
    Terminal,
    Thinking,
    Timing,
    Token,
    ToolCall,
    ToolResult,
)
from services.wire.ids import BadPosition
from services.wire.native import NativeFrames, Numbered, TextKind

MIB = 1 << 20
FRAME_BYTES = 65_536
START = Started("k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ", "llama3.2", 5.0)
CALL = ToolCall("call_1", "clock", {"tz": "UTC"})
DONE = Finished(FinishReason.STOP, None, 0, 0, Timing(0, None, None, None, None, 1, None), None)
FAILED = Failed(Code.UPSTREAM_ERROR, "words")


def log_of(*events: Logged, max_bytes: int = MIB) -> StreamLog:
    log = StreamLog(max_bytes)
    for event in events:
        put(log, event)
    return log


def put(log: StreamLog, event: Logged) -> None:
    if isinstance(event, Token | Thinking):
        log.text(type(event), event.content)
    else:
        log.append(event)


def replayed(log: StreamLog, position: int) -> list[Numbered]:
    """Return everything after ``position``, as a reader that catches up gets it."""
    events: list[Numbered] = []
    while batch := log.after(position):
        events += batch
        position = batch[-1][0]
    return events


def text_of(events: list[Numbered], kind: TextKind = Token) -> str:
    return "".join(event.content for _, event in events if isinstance(event, kind))


# --- numbers


def test_events_are_numbered_from_one_without_a_gap() -> None:
    log = log_of(START, Thinking("a"), CALL, Token("b"), DONE)

    assert log.after(0) == [(1, START), (2, Thinking("a")), (3, CALL), (4, Token("b")), (5, DONE)]
    assert (log.first, log.last) == (1, 5)


def test_an_empty_log_has_nothing_and_owes_nothing() -> None:
    log = StreamLog(MIB)

    assert (log.after(0), log.first, log.last, log.size) == ([], 1, 0, 0)


def test_empty_text_is_no_event() -> None:
    log = log_of(START)

    log.text(Token, "")

    assert (log.last, log.chunks) == (1, 0)


# --- merging


def test_neighbouring_text_of_one_kind_comes_as_one_event_with_the_last_number() -> None:
    log = log_of(START, Token("Hel"), Token("lo"), Token("!"))

    assert log.after(1) == [(4, Token("Hello!"))]


def test_thinking_and_text_are_never_merged() -> None:
    log = log_of(Thinking("a"), Thinking("b"), Token("c"), Thinking("d"))

    assert log.after(0) == [(2, Thinking("ab")), (3, Token("c")), (4, Thinking("d"))]


def test_text_around_a_tool_call_is_not_merged() -> None:
    log = log_of(Token("a"), CALL, Token("b"))

    assert log.after(0) == [(1, Token("a")), (2, CALL), (3, Token("b"))]


@pytest.mark.parametrize("position", range(8))
def test_replay_after_every_number_goes_on_with_the_next_one(position: int) -> None:
    """Also inside a merged run, and inside a character's neighbours of several bytes."""
    parts = ["a", "ё", "🌊", "b", "𝄞", "c"]
    log = log_of(START, *map(Token, parts), DONE)

    events = replayed(log, position)

    assert text_of(events) == "".join(parts[max(0, position - 1) :])
    assert events[-1] == (8, DONE)


def test_a_reader_that_has_everything_gets_nothing() -> None:
    log = log_of(START, Token("a"))

    assert log.after(2) == []


@given(
    parts=st.lists(st.tuples(st.sampled_from([Token, Thinking]), st.text(min_size=1, max_size=20)), max_size=30),
    data=st.data(),
)
def test_replay_from_any_position_yields_the_same_text_whatever_the_reader_s_steps(
    parts: list[tuple[TextKind, str]], data: st.DataObject
) -> None:
    log = StreamLog(MIB)
    position = data.draw(st.integers(0, len(parts)), "position")
    seen: list[Numbered] = []
    live = 0
    for number, (kind, part) in enumerate(parts, 1):
        log.text(kind, part)
        if data.draw(st.booleans(), "reads now"):
            seen += replayed(log, live)
            live = number
    seen += replayed(log, live)

    later = replayed(log, position)

    for kind in (Token, Thinking):
        assert text_of(seen, kind) == "".join(part for which, part in parts if which is kind)
        assert text_of(later, kind) == "".join(part for which, part in parts[position:] if which is kind)
    assert [number for number, _ in later] == sorted({number for number, _ in later})


# --- bounds of a part, a frame, a batch


@pytest.mark.parametrize("character", ["a", "ё", "€", "🌊"])
@pytest.mark.parametrize("beyond", [-3, -1, 0, 1, 2, 3, PART_BYTES])
def test_text_over_64_kib_becomes_several_events_cut_between_characters(character: str, beyond: int) -> None:
    text = "x" + character * ((PART_BYTES + beyond) // len(character.encode()))
    log = StreamLog(MIB)

    log.text(Token, text)

    size = len(text.encode())
    pieces = [event.content for _, event in replayed(log, 0) if isinstance(event, Token)]
    assert "".join(pieces) == text
    assert (log.last == 1) is (size <= PART_BYTES)
    assert all(len(piece.encode()) <= PART_BYTES for piece in pieces)


@pytest.mark.parametrize(
    "character", ["\x01", '"', "\\", "a", "🌊"], ids=["control", "quote", "backslash", "a", "wave"]
)
def test_a_merged_frame_has_at_most_64_kib_even_if_json_escapes_everything(character: str) -> None:
    """U+0001 is written in six bytes: the worst that JSON does to one."""
    log = StreamLog(MIB)
    for _ in range(3 * RUN_BYTES):
        log.text(Token, character)
    dialect = NativeFrames(START.stream_id, request_id="r" * 64, heartbeat_s=10)

    frames = [dialect.frames([numbered]) for numbered in replayed(log, 0)]

    assert max(map(len, frames)) <= FRAME_BYTES
    assert len(frames) < 64


@pytest.mark.parametrize("part", ["some text", "x" * RUN_BYTES], ids=["small parts", "whole runs"])
def test_who_catches_up_gets_bounded_pieces(part: str) -> None:
    log = StreamLog(4 * MIB)
    while log.text_bytes < 3 * BATCH_BYTES:
        log.text(Token, part)

    batch = log.after(0)

    assert len(batch) > 1
    assert len(text_of(batch)) < BATCH_BYTES + RUN_BYTES
    assert text_of(replayed(log, 0)) == part * log.last


# --- the byte cap


def test_eighty_thousand_tokens_fit_one_mebibyte() -> None:
    log = StreamLog(MIB)
    for _ in range(80_000):
        log.text(Token, " tokens!"[: 4 + log.last % 5])

    assert (log.first, log.last) == (1, 80_000)
    assert log.size <= MIB
    assert len(text_of(replayed(log, 0))) == log.text_bytes


def test_when_the_log_is_full_its_oldest_part_goes_first() -> None:
    log = StreamLog(4 * RUN_BYTES)
    log.append(START)
    for number in range(6):
        log.text(Token, str(number) * RUN_BYTES)

    kept = text_of(replayed(log, log.first - 1))

    assert log.first > 1
    assert kept == "".join(str(number) * RUN_BYTES for number in range(6))[-len(kept) :]
    assert log.size <= 4 * RUN_BYTES


def test_the_newest_event_stays_however_large_it_is() -> None:
    log = StreamLog(1024)
    log.append(START)

    log.append(CALL, 1 << 20)

    assert log.after(1) == [(2, CALL)]
    assert log.first == 2


@given(parts=st.lists(st.tuples(st.integers(1, 70_000), st.integers(1, 3000)), min_size=1, max_size=6))
def test_the_smallest_log_that_can_be_set_never_holds_more_than_its_cap(parts: list[tuple[int, int]]) -> None:
    cap = 1 << 16
    log = StreamLog(cap)
    for size, count in parts:
        for _ in range(max(1, count // size)):
            log.text(Token, "x" * size)
            assert log.size <= cap + 4

    assert len(text_of(replayed(log, log.first - 1))) <= log.size


def test_a_number_that_has_left_the_log_is_refused_and_the_first_that_is_held_is_not() -> None:
    log = StreamLog(2 * RUN_BYTES)
    for _ in range(8):
        log.text(Token, "x" * RUN_BYTES)
    oldest = log.first

    assert oldest > 2
    assert log.after(oldest - 1)
    with pytest.raises(LeftTheLog):
        log.after(oldest - 2)


def test_counts_are_exact_also_of_what_has_left() -> None:
    log = StreamLog(RUN_BYTES)
    log.append(START)
    for _ in range(10):
        log.text(Thinking, "ё" * 4000)
        log.text(Token, "x" * 4000)
    log.append(CALL)

    assert log.first > 1
    assert (log.chunks, log.thinking_chunks, log.tool_calls, log.text_bytes) == (21, 10, 1, 10 * 12_000)


# --- the end


@pytest.mark.parametrize("first", [DONE, FAILED], ids=["done", "failed"])
@pytest.mark.parametrize("second", [DONE, FAILED], ids=["done", "failed"])
def test_the_first_terminal_event_wins(first: Terminal, second: Terminal) -> None:
    log = log_of(START)

    accepted = [log.append(first), log.append(second)]

    assert accepted == [True, False]
    assert log.end is first
    assert replayed(log, 0) == [(1, START), (2, first)]


def test_what_comes_after_the_end_is_counted_and_dropped() -> None:
    log = log_of(START, Token("a"), FAILED)
    before = (log.last, log.size, log.chunks, log.text_bytes)

    log.text(Token, "late")
    log.text(Thinking, "later")
    log.text(Token, "")
    log.append(CALL)

    assert log.late == 3
    assert (log.last, log.size, log.chunks, log.text_bytes) == before
    assert replayed(log, 0)[-1] == (3, FAILED)


# --- snapshots


def test_a_snapshot_puts_together_what_is_held() -> None:
    log = log_of(START, Thinking("h"), Token("Hel"), Thinking("m"), CALL, Token("lo"), DONE)

    held = log.snapshot()

    assert (held.text, held.thinking, held.tool_calls) == ("Hello", "hm", [CALL])
    assert (held.text_from, held.thinking_from) == (0, 0)


def test_a_snapshot_says_from_which_character_on_it_holds_the_text() -> None:
    """In characters, not in bytes."""
    log = StreamLog(4 * RUN_BYTES)
    whole = ""
    for number in range(8):
        part = "ёж🌊x"[number % 4] * (RUN_BYTES // 4)
        whole += part
        log.text(Token, part)
        log.text(Thinking, "ё" * 100)

    held = log.snapshot()

    assert held.text_from > 0
    assert held.thinking_from > 0
    assert whole[held.text_from :] == held.text
    assert held.thinking_from + len(held.thinking) == 800


# --- positions that readers name


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_number_that_is_there_is_a_position(position: int) -> None:
    log_of(START, Token("a"), Token("b")).check_position(position)


def test_a_number_that_lies_ahead_is_none() -> None:
    """C12."""
    with pytest.raises(BadPosition, match="lies ahead"):
        log_of(START, Token("a"), Token("b")).check_position(4)


def test_a_position_that_has_left_the_log_is_not_a_bad_one() -> None:
    """C11: 410, not 400."""
    log = StreamLog(2 * RUN_BYTES)
    for _ in range(8):
        log.text(Token, "x" * RUN_BYTES)

    with pytest.raises(LeftTheLog):
        log.check_position(0)


def test_a_frame_of_a_run_holds_all_of_its_text_as_json() -> None:
    log = StreamLog(MIB)
    for part in ("say ", '"hi"', "\n", "\u2028"):
        log.text(Token, part)
    frame = NativeFrames(START.stream_id, request_id="r", heartbeat_s=10).frames(log.after(0))

    data: dict[str, Any] = orjson.loads(frame.split(b"data: ")[1])

    assert data["content"] == 'say "hi"\n\u2028'


def test_what_nobody_could_read_yet_stays_whatever_it_weighs() -> None:
    """One line may be longer than the log: its readers are not slow."""
    log = StreamLog(2 * RUN_BYTES)
    log.kept_after = 0

    for _ in range(5):
        log.text(Token, "x" * RUN_BYTES)
    held_before, first_before = log.size, log.first
    log.delivered()

    assert (held_before > 5 * RUN_BYTES, first_before) == (True, 1)
    assert log.size <= 2 * RUN_BYTES
    assert log.first > 1


def test_a_call_is_held_as_who_runs_the_tools_names_it() -> None:
    log = StreamLog(MIB)
    log.on_call = lambda call: replace(call, call_id="call_9")
    put(log, CALL)

    assert log.held(0) == [replace(CALL, call_id="call_9")]


def test_a_snapshot_has_the_results_of_tools_beside_their_calls() -> None:
    result = ToolResult("call_1", "clock", True, "noon", 1.0, None)
    snapshot = log_of(START, CALL, result, DONE).snapshot()

    assert (snapshot.tool_calls, snapshot.tool_results) == ([CALL], [result])
