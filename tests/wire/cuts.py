"""Ways to cut a stream of bytes: a decoder's answer must not depend on them."""

from itertools import pairwise

from hypothesis import strategies as st

PIECES = [1, 2, 3, 5, 7, 100_000]


def pieces_of(body: bytes, size: int) -> list[bytes]:
    """Return ``body`` in chunks of ``size`` bytes."""
    return [body[start : start + size] for start in range(0, len(body), size)]


def cut_anywhere(body: bytes) -> st.SearchStrategy[list[bytes]]:
    """Draw a list of chunks, empty ones among them, that join to ``body``."""
    cuts = st.lists(st.integers(0, len(body)), max_size=8).map(sorted)
    return cuts.map(lambda at: [body[start:end] for start, end in pairwise([0, *at, len(body)])])
