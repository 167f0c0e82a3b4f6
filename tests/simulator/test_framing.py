"""How lines become bytes: pure, so each fault is seen here without a socket, too."""

import json
from collections.abc import Iterable

import pytest

from services.simulator import byte_faults, line_faults
from services.simulator.faulty import respond
from services.simulator.framing import chunked, coalesce, first_lines, in_pieces, plain
from services.simulator.replies import Reply, head
from services.simulator.script import Script
from services.simulator.steps import (
    FIN,
    RST,
    TURN,
    WHOLE,
    End,
    Ending,
    Line,
    MakerStep,
    MakerSteps,
    Raw,
    Step,
    Wait,
    Write,
)

GAP = Wait(0.1)
ONE, TWO, THREE = (Line(b"%d\n" % number, 1, content=True) for number in (1, 2, 3))
TAG = Line(b"tag\n", 1)


def written(steps: Iterable[Step]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Write))


def test_each_line_is_a_chunk_and_the_header_goes_with_the_first() -> None:
    steps = list(chunked(b"HEAD", iter([GAP, ONE, GAP, TWO, WHOLE])))

    assert steps == [
        GAP, Write(b"HEAD2\r\n1\n\r\n", 1, 1), GAP, Write(b"2\r\n2\n\r\n", 1, 1), Write(b"0\r\n\r\n"), WHOLE,
    ]  # fmt: skip


def test_an_answer_without_a_line_is_a_header_and_a_last_chunk() -> None:
    assert list(chunked(b"HEAD", iter([WHOLE]))) == [Write(b"HEAD0\r\n\r\n"), WHOLE]


@pytest.mark.parametrize("end", [FIN, RST])
def test_a_broken_end_has_no_last_chunk_and_what_follows_it_is_not_made(end: MakerStep) -> None:
    rest = iter([ONE, end, TWO])

    assert list(chunked(b"", rest)) == [Write(b"2\r\n1\n\r\n", 1, 1), end]
    assert list(rest) == [TWO]


def test_a_plain_body_is_its_lines_and_raw_bytes() -> None:
    assert list(plain(b"HEAD", iter([ONE, Raw(b"x"), GAP, FIN, TWO]))) == [
        Write(b"HEAD1\n", 1, 1), Write(b"x"), GAP, FIN,
    ]  # fmt: skip


@pytest.mark.parametrize(("count", "taken"), [(0, []), (1, [TAG, ONE]), (2, [TAG, ONE, GAP, TWO])])
def test_the_first_lines_are_counted_by_content_and_the_rest_is_kept(count: int, taken: list[MakerStep]) -> None:
    everything: list[MakerStep] = [TAG, ONE, GAP, TWO, THREE, WHOLE]
    steps = iter(everything)

    assert list(first_lines(steps, count)) == taken
    assert taken + list(steps) == everything


def test_lines_without_a_wait_between_them_share_a_write_up_to_the_number_asked_for() -> None:
    steps: list[Step] = [Write(b"1", 1, 1), Write(b"2", 1, 1), Write(b"3", 1, 1), GAP, Write(b"4", 1, 1), WHOLE]

    assert list(coalesce(iter(steps), 2)) == [Write(b"12", 2, 2), Write(b"3", 1, 1), GAP, Write(b"4", 1, 1), WHOLE]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 100])
def test_pieces_are_of_the_size_asked_for_and_count_a_line_once(size: int) -> None:
    steps = list(in_pieces(iter([Write(b"abcdef", 1, 2), Write(b"", 0, 1), GAP, WHOLE]), size))

    writes = [step for step in steps if isinstance(step, Write)]
    assert written(steps) == b"abcdef"
    assert all(len(write.data) <= size for write in writes)
    assert (sum(write.lines for write in writes), sum(write.tokens for write in writes)) == (1, 3)
    assert steps[-2:] == [GAP, WHOLE]
    assert steps.count(TURN) == len(writes)


def test_an_answer_is_its_header_its_chunks_and_the_last_chunk() -> None:
    steps = list(respond(iter([ONE, TWO, WHOLE]), Script(), True, lambda: 0.0))

    assert written(steps) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n"
    )
    assert steps[-1] == WHOLE


@pytest.mark.parametrize("fault", [*line_faults.MAKERS, *byte_faults.MAKERS])
@pytest.mark.parametrize("at", [0, 1, 2, 3, 9])
def test_every_fault_at_every_place_comes_to_an_end_or_to_silence(fault: str, at: int) -> None:
    script = Script(fault=fault, at=at, bytes=50)

    steps = list(respond(answer(), script, True, lambda: 0.0))

    assert isinstance(steps[-1], End) or any(isinstance(step, Wait) and step.seconds > 10 for step in steps)
    assert sum(isinstance(step, End) for step in steps) <= 1


def test_the_made_lines_and_tokens_are_counted_through_every_way_of_sending() -> None:
    for script in (Script(), Script(burst=2), Script(piece=3), Script(fault="until_close"), Script(fault="length_cut")):
        writes = [step for step in respond(answer(), script, True, lambda: 0.0) if isinstance(step, Write)]

        assert sum(write.tokens for write in writes) == 3, script


def test_a_reply_beyond_two_kilobytes_is_chunked_as_go_does_it() -> None:
    small, large = Reply(200, b"a" * 2048).encode(0), Reply(200, b"a" * 2049).encode(0)

    assert b"Content-Length: 2048\r\n" in small
    assert b"Transfer-Encoding: chunked\r\n\r\n801\r\n" in large


def test_a_reply_to_head_has_no_body_and_its_length_only_where_go_knows_it() -> None:
    small, large = (Reply(200, b"a" * size).encode(0, with_body=False) for size in (5, 5000))

    assert small.endswith(b"Content-Length: 5\r\n\r\n")
    assert b"Content-Length" not in large


def test_header_fields_stand_in_gos_order() -> None:
    made = head(503, {"Retry-After": "1", "Content-Type": "x"}, 0, keep_alive=False, framing=3).decode()

    assert [line.partition(":")[0] for line in made.split("\r\n")[1:-2]] == [
        "Content-Type", "Retry-After", "Date", "Content-Length", "Connection",
    ]  # fmt: skip


def answer() -> MakerSteps:
    """A sound answer of three tokens, as chat's lines."""
    for word in ("a", "b", "c"):
        line = json.dumps({"message": {"role": "assistant", "content": word}, "done": False}, separators=(",", ":"))
        yield Line(line.encode() + b"\n", 1, content=True)
        yield GAP
    yield Line(b'{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":4}\n', final=True)
    yield End(Ending.WHOLE)
