"""From lines to the bytes of an HTTP response: one chunk for each line, the header in the first one's write."""

from collections.abc import Callable

from services.simulator.replies import LAST_CHUNK, chunk
from services.simulator.steps import WHOLE, End, Line, MakerSteps, Raw, Steps, Wait, Write

Opening = Callable[[int | str | None], bytes]
"""Makes the header of a stream: "chunked", a size in bytes, or None for a body that ends with the connection."""


def chunked(opening: bytes, steps: MakerSteps) -> Steps:
    """Yield the writes of a chunked body, up to the first end."""
    for step in steps:
        if isinstance(step, Line):
            yield Write(opening + chunk(step.data), 1, step.tokens)
            opening = b""
        elif isinstance(step, Raw):
            yield Write(opening + step.data)
            opening = b""
        elif isinstance(step, End):
            yield from _ended(opening, step)
            return
        else:
            yield step


def plain(opening: bytes, steps: MakerSteps) -> Steps:
    """Yield the writes of a body that needs no framing, up to the first end."""
    for step in steps:
        if isinstance(step, Line | Raw):
            tokens = step.tokens if isinstance(step, Line) else 0
            yield Write(opening + step.data, isinstance(step, Line), tokens)
            opening = b""
        else:
            yield step
            if isinstance(step, End):
                return


def first_lines(steps: MakerSteps, count: int) -> MakerSteps:
    """Yield ``steps`` up to and with the line of content number ``count``; the rest stays in ``steps``."""
    while count > 0:
        step = next(steps, None)
        if step is None:
            return
        yield step
        if isinstance(step, End):
            return
        count -= isinstance(step, Line) and step.content


def coalesce(steps: Steps, lines: int) -> Steps:
    """Yield ``steps`` with up to ``lines`` lines in one write where no wait stands between them."""
    held = Write(b"")
    for step in steps:
        if isinstance(step, Write):
            held = Write(held.data + step.data, held.lines + step.lines, held.tokens + step.tokens)
        if not isinstance(step, Write) or held.lines >= lines:
            if held.data:
                yield held
            held = Write(b"")
        if not isinstance(step, Write):
            yield step


def in_pieces(steps: Steps, size: int) -> Steps:
    """Yield ``steps`` with writes of ``size`` bytes at most, each in a turn of the event loop of its own."""
    for step in steps:
        if not isinstance(step, Write):
            yield step
            continue
        for start in range(0, len(step.data) - size, size):
            yield Write(step.data[start : start + size])
            yield Wait(0.0)
        rest = (len(step.data) - 1) // size * size if step.data else 0
        yield step._replace(data=step.data[rest:])
        yield Wait(0.0)


def _ended(opening: bytes, end: End) -> Steps:
    """A whole body closes with the last chunk; a connection that is broken carries no more than it did."""
    if end == WHOLE:
        yield Write(opening + LAST_CHUNK)
    yield end
