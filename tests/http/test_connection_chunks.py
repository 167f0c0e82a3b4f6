"""Reads that are exactly one chunk, which pass llhttp by: what is heard of an answer must not depend on them."""

import asyncio
from collections.abc import Mapping, Sequence

from hypothesis import given
from hypothesis import strategies as st

from services.http.connection import HttpConnection, ResponseEnd
from tests.wire.cuts import cut_anywhere

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class ListTransport(asyncio.Transport):
    """A socket that takes everything."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False

    def write(self, data: object) -> None:
        """Take it."""

    def is_closing(self) -> bool:
        return self.aborted

    def is_reading(self) -> bool:
        return True

    def abort(self) -> None:
        self.aborted = True


class NoPool:
    """Takes nothing back."""

    def take_back(self, connection: HttpConnection) -> None:
        """Keep nothing."""

    def lost(self, connection: HttpConnection) -> None:
        """Nobody waits for it."""


class Answer:
    """What a reader hears of an answer that comes in these reads; inside a running loop."""

    def __init__(self, *reads: bytes, gives_up_after: int = 1_000) -> None:
        self.body, self.framed, self.ends = b"", list[bytes](), list[ResponseEnd]()
        transport, connection = ListTransport(), HttpConnection(NoPool())
        connection.connection_made(transport)
        call = connection.send(b"", self)
        for number, read in enumerate(reads):
            if number == gives_up_after:
                call.abort()
                connection.data_received(read)
            elif not transport.aborted:
                connection.data_received(read)
        connection.connection_lost(None)

    def on_head(self, status: int, headers: Mapping[str, str]) -> None:
        """Only the body is compared."""

    def on_bytes(self, data: bytes, framed: bytes = b"") -> None:
        self.body += data
        self.framed += [framed] if framed else []

    def on_end(self, end: ResponseEnd) -> None:
        self.ends.append(end)


async def both_ways(reads: Sequence[bytes]) -> tuple[Answer, Answer]:
    """Hear ``reads`` as they are, and each in two, so that llhttp sees them all."""
    halves = [part for read in reads for part in (read[:-1], read[-1:]) if part]
    return Answer(*filter(None, reads)), Answer(*halves)


BODIES = st.binary(min_size=1, max_size=12) | st.sampled_from(
    [b"\r\n", b"1\r\na\r\n", LAST, b"x" * 300, b"\r\n\r\n\r\n"]
)
SIZE_LINES = st.sampled_from([b"%x"] * 8 + [b"%X", b"0%x", b"%x;a=b", b"%x ", b"+%x"])
AMID = st.sampled_from([b""] * 4 + [b"\r\n", b"5\r\n", b"x", b"1", LAST])
ENDS = st.sampled_from([LAST, b"0\r\nA: b\r\n\r\n", b"", b"1\r\n"])


@st.composite
def answers(draw: st.DrawFn) -> list[bytes]:
    """Draw the reads of a chunked answer, a chunk a read or cut anywhere; some of it may be no chunk at all."""
    bodies = draw(st.lists(BODIES, max_size=6))
    reads = [b"%b\r\n%b\r\n" % (draw(SIZE_LINES) % len(body), body) for body in bodies]
    reads.insert(draw(st.integers(0, len(reads))), draw(AMID))
    reads.append(draw(ENDS))
    if draw(st.integers(0, 2)) == 0:
        reads = draw(cut_anywhere(b"".join(reads)))
    return [HEAD, *reads]


@given(reads=answers())
def test_whether_a_read_passes_llhttp_by_changes_nothing(reads: list[bytes]) -> None:
    by, through = asyncio.run(both_ways(reads))

    assert (by.body, by.ends) == (through.body, through.ends)
    assert through.framed == []


async def test_a_read_that_is_one_chunk_is_handed_on_with_its_framing() -> None:
    answer = Answer(HEAD, chunk(b"a"), chunk(b"b"), chunk(b"c") * 2, chunk(b"d"), LAST)

    assert answer.body == b"abccd"
    assert answer.framed == [chunk(b"b"), chunk(b"d")]
    assert answer.ends == [ResponseEnd.COMPLETE]


async def test_what_looks_like_a_chunk_inside_of_one_is_its_body() -> None:
    inside = chunk(b"hello")
    answer = Answer(HEAD, b"10\r\nabcdef", inside, b"\r\n", chunk(b"x"))

    assert answer.body == b"abcdef" + inside + b"x"
    assert answer.framed == [chunk(b"x")]


async def test_what_looks_like_a_chunk_behind_the_first_digit_of_a_size_is_none() -> None:
    answer = Answer(HEAD + chunk(b"a") + b"1", chunk(b"hello"))

    assert answer.body == b"ahello\r\n"
    assert answer.framed == []


async def test_a_reader_that_gave_up_hears_no_chunk_either() -> None:
    answer = Answer(HEAD, chunk(b"a"), chunk(b"b"), gives_up_after=2)

    assert answer.body == b"a"
