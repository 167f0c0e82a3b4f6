"""Answers that go wrong below their lines, and what comes instead of an answer."""

import gzip
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Final

from services.simulator.faults import ERROR_WORDS
from services.simulator.framing import Opening, chunked, first_lines, plain
from services.simulator.lines import go_json
from services.simulator.replies import LAST_CHUNK, QUEUE_FULL, Reply, chunk, error
from services.simulator.script import Script
from services.simulator.steps import FIN, RST, SILENCE, WHOLE, End, Line, MakerSteps, Raw, Steps, Wait, Write

ByteFault = Callable[[MakerSteps, Script, Opening], Steps]

RESET_AFTER_S: Final = 0.02  # the reader's loop has taken the last token by then, however busy a test machine is
_TRAILERS: Final = 100_000
_PAGE: Final = (
    b"<!DOCTYPE html>\n<html><head><title>504 Gateway Time-out</title></head>\n"
    b"<body><h1>Sign in at portal.example.com</h1></body></html>\n"
)
_GARBAGE: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is no HTTP\r\n\r\n"


def instead(script: Script, now_s: float) -> Steps | None:
    """Return what comes instead of an answer, None where the answer itself comes."""
    if script.fault == "page":
        return _replied(Reply(script.status or 200, _PAGE, "text/html; charset=utf-8"), now_s)
    if script.fault == "encoded":
        return _replied(Reply(200, gzip.compress(_PAGE, mtime=0), fields={"Content-Encoding": "gzip"}), now_s)
    if script.fault == "no_load":
        return chain((Wait(script.load),), _replied(error(500, ERROR_WORDS[script.words]), now_s))
    if script.status:
        wait = {} if script.retry_after is None else {"Retry-After": f"{script.retry_after:g}"}
        body = go_json({"error": f"the simulator was told to answer {script.status}"})
        return _replied(Reply(script.status, body, fields=wait), now_s)
    if script.fault == "queue_full":
        return _replied(error(503, QUEUE_FULL), now_s)
    if script.fault == "redirect":
        return _replied(Reply(302, b"", None, {"Location": f"http://{script.to}/api/generate"}), now_s)
    if script.fault == "garbage":
        return iter((Write(_GARBAGE), FIN))
    return iter((FIN,)) if script.fault == "refuse" else None


def instead_status(script: Script) -> int | None:
    """Return the status of what :func:`instead` sends, None where that is no HTTP."""
    return script.status or {"queue_full": 503, "redirect": 302, "no_load": 500}.get(script.fault)


def _replied(reply: Reply, now_s: float) -> Steps:
    return iter((Write(reply.encode(now_s)), WHOLE))


def _broken_off(*tail: Wait | Raw | End) -> ByteFault:
    """Return the maker of an answer that is chunked, and after ``at=`` tokens goes on as ``tail`` says."""

    def maker(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
        return chunked(opening("chunked"), chain(first_lines(steps, script.at), tail))

    return maker


def _reset_done(steps: MakerSteps, _script: Script, opening: Opening) -> Steps:
    return chunked(opening("chunked"), (RST if step == WHOLE else step for step in steps))


def _cut(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
    """Announce the next line's chunk, send half of it, close."""

    def half_a_line() -> MakerSteps:
        yield from first_lines(steps, script.at)
        line = next(step for step in steps if isinstance(step, Line))
        announced = chunk(line.data)
        yield Raw(announced[: len(announced) // 2])
        yield FIN

    return chunked(opening("chunked"), half_a_line())


def _until_close(steps: MakerSteps, _script: Script, opening: Opening) -> Steps:
    return plain(opening(None), (FIN if step == WHOLE else step for step in steps))


def _until_close_cut(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
    return plain(opening(None), chain(first_lines(steps, script.at), [FIN]))


def _length_cut(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
    """Gather the lines, for their size stands in the header."""
    lines: list[Line] = []
    for step in first_lines(steps, script.at):
        if isinstance(step, Line):
            lines.append(step)
        elif isinstance(step, Wait):
            yield step
    body = b"".join(line.data for line in lines)
    yield Write(opening(len(body)) + body, len(lines), sum(line.tokens for line in lines))
    yield WHOLE


def _mute(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
    yield Wait(script.for_s)
    yield from chunked(opening("chunked"), steps)


def _header_stall(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
    yield Write(opening("chunked"))
    yield Wait(script.for_s)
    yield from chunked(b"", steps)


def _slow_header(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
    header = opening("chunked")
    for byte in header:
        yield Write(bytes([byte]))
        yield Wait(script.for_s / len(header))
    yield from chunked(b"", steps)


def _trailers(steps: MakerSteps, script: Script, opening: Opening) -> Steps:
    size = script.size_or(_TRAILERS)
    fields = b"".join(b"X-Trailer-%d: %b\r\n" % (index, b"t" * 1000) for index in range(-(-size // 1000)))
    for step in chunked(opening("chunked"), steps):
        whole = isinstance(step, Write) and step.data == LAST_CHUNK
        yield Write(b"0\r\n" + fields + b"\r\n") if whole else step


def _sound(steps: MakerSteps, _script: Script, opening: Opening) -> Steps:
    """Leave the bytes: what leaving does is the exchange's and the scheduler's, see simulator.py."""
    return chunked(opening("chunked"), steps)


MAKERS: Final[Mapping[str, ByteFault]] = {
    "reset": _broken_off(Wait(RESET_AFTER_S), RST),
    "reset_at_once": _broken_off(RST),
    "reset_done": _reset_done,
    "close": _broken_off(FIN),
    "cut": _cut,
    "until_close": _until_close,
    "until_close_cut": _until_close_cut,
    "length_cut": _length_cut,
    "mute": _mute,
    "freeze": _mute,  # /api/ps is simulator.py's
    "header_stall": _header_stall,
    "slow_header": _slow_header,
    "bad_chunk": _broken_off(Raw(b"this is no size\r\n"), SILENCE),
    "trailers": _trailers,
    "wedge": _sound,
    "deaf": _sound,
}
