import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.http.chunk import body_of, chunk_of
from tests.wire.cuts import cut_anywhere

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BODIES = st.binary(min_size=1, max_size=40) | st.sampled_from([b"\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"x" * 5000])


class ByLlhttp:
    """What llhttp makes of an answer's body."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.chunks = 0
        self.is_over = False
        self.parser = httptools.HttpResponseParser(self)
        self.parser.feed_data(HEAD)

    def on_body(self, body: bytes) -> None:
        self.bodies.append(body)

    def on_chunk_complete(self) -> None:
        self.chunks += 1

    def on_message_complete(self) -> None:
        self.is_over = True


@given(body=BODIES)
def test_a_chunk_that_was_written_is_one_to_llhttp(body: bytes) -> None:
    reader = ByLlhttp()
    reader.parser.feed_data(chunk_of(body))

    assert (b"".join(reader.bodies), reader.chunks, reader.is_over) == (body, 1, False)


@pytest.mark.parametrize("size", [1, 15, 16, 255, 256, 4095, 4096, 70_000])
def test_a_read_that_is_one_chunk_is_its_body(size: int) -> None:
    assert body_of(chunk_of(b"x" * size)) == b"x" * size


@pytest.mark.parametrize(
    "read",
    [
        b"",
        b"\r\n",
        b"5\r\n",
        b"5\r\nhello",
        b"5\r\nhello\r",
        b"\r\nhello\r\n",
        b"5\r\nhell\r\n",
        b"4\r\nhello\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n5\r\nhello\r\n",
        b"05\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5 \r\nhello\r\n",
        b"5;a=b\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"A\r\nhellohello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello\n\n",
        b"0000000005\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_anything_else_is_llhttp_s_to_judge(read: bytes) -> None:
    assert body_of(read) is None


SIZE_LINES = st.sampled_from([b"%x", b"%X", b"0%x", b"%x;a=b", b"%x ", b"+%x"])


@given(data=st.data(), bodies=st.lists(BODIES, min_size=1, max_size=4), more=st.binary(max_size=6))
def test_whatever_is_taken_without_llhttp_is_what_llhttp_takes(
    data: st.DataObject, bodies: list[bytes], more: bytes
) -> None:
    lines = [data.draw(SIZE_LINES) % len(body) for body in bodies]
    body = b"".join(b"%b\r\n%b\r\n" % pair for pair in zip(lines, bodies, strict=True)) + more

    for read in data.draw(cut_anywhere(body)):
        if (taken := body_of(read)) is not None:
            reader = ByLlhttp()
            reader.parser.feed_data(read)
            assert (b"".join(reader.bodies), reader.chunks, reader.is_over) == (taken, 1, False)
