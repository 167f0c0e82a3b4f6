"""How steps become bytes in time: framing is pure, alarms ring in order."""

import asyncio
from collections.abc import Iterable

import pytest

from services.simulator.alarms import Alarms
from services.simulator.framing import chunked, coalesce, first_lines, in_pieces, plain
from services.simulator.simulator import Simulator
from services.simulator.steps import FIN, RST, SILENCE, TURN, WHOLE, Line, MakerStep, Raw, Step, Wait, Write
from tests.simulator.reader import ask, chat

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


async def test_alarms_ring_soonest_first_and_cancelled_ones_not_at_all() -> None:
    loop, alarms, rung = asyncio.get_running_loop(), Alarms(), list[str]()
    over = asyncio.Event()
    now = loop.time()

    alarms.at(now + 0.03, over.set)
    alarms.at(now + 0.02, lambda: rung.append("late"))
    alarms.at(now + 0.01, lambda: rung.append("cancelled")).cancel()
    alarms.at(now + 0.005, lambda: rung.append("soon"))
    alarms.at(now - 1, lambda: rung.append("overdue"))
    await asyncio.wait_for(over.wait(), 5)

    assert rung == ["overdue", "soon", "late"]


async def test_an_alarm_may_be_set_by_one_that_rings() -> None:
    alarms, over = Alarms(), asyncio.Event()

    alarms.at(0.0, lambda: alarms.at(0.0, over.set) and None)

    assert await asyncio.wait_for(over.wait(), 5)


async def test_a_rate_holds_over_an_answer(simulator: Simulator) -> None:
    """The lower bound only: 40 gaps of 5 ms, each up to half of it shorter or longer, are 200 ms on average."""
    last = (await ask(simulator, chat("sim:tokens=41,rate=200,jitter=0.5"))).lines[-1]

    assert last["eval_duration"] > 150_000_000


def test_silence_has_no_end() -> None:
    assert SILENCE.seconds == float("inf")
