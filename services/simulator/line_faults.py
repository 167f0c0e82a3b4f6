"""Answers whose lines go wrong: each maker takes the steps of a sound answer and yields those of a broken one."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, cycle, islice
from typing import Final

from services.simulator.faults import ERROR_WORDS
from services.simulator.framing import first_lines
from services.simulator.lines import go_json
from services.simulator.script import Script
from services.simulator.steps import WHOLE, Line, MakerStep, MakerSteps, Wait

LineFault = Callable[[MakerSteps, Script], MakerSteps]

_BOTH: Final = b'{"response":%b,"message":{"role":"assistant","content":%b},"done":false}\n'  # generate's and chat's
_MALFORMED: Final = (b'{"response":"ha\n', b"{not json}\n", b"<html>502 Bad Gateway</html>\n", b'{"a":1}{"b":2}\n')
_NOT_OBJECTS: Final = (b'["a list"]\n', b'"a word"\n', b"42\n", b"null\n", b"true\n")
_WRONG_TYPES: Final = (
    _BOTH % (b"5", b"5"),
    b'{"response":["a"],"message":"a","done":false}\n',
    b'{"response":{"a":1},"message":{"content":{"a":1}},"done":false}\n',
    b'{"response":"","thinking":7,"message":{"content":"","thinking":7},"done":false}\n',
    b'{"response":"","message":{"content":"","tool_calls":{"a":1}},"tool_calls":5,"done":false}\n',
    b'{"response":"","message":{"content":""},"done":"yes"}\n',
)
_NAN: Final = (b'{"response":"x","message":{"role":"assistant","content":"x"},"logprob":NaN,"done":false}\n',)
_CALLS: Final = b'[{"function":{"name":7}},{"function":{"name":"clock","arguments":"{\\"tz\\":\\"UTC\\"}"}}]'
_BAD_CALL: Final = (b'{"response":"","message":{"content":"","tool_calls":%b},"done":false}\n' % _CALLS,)
_HALF_PAIR: Final = (_BOTH % (rb'" \ud83d"', rb'" \ud83d"'),)
_BAD_UTF8: Final = (_BOTH % (b'" \xff\xfe\xf0\x9f\x8c"', b'" \xff\xfe\xf0\x9f\x8c"'),)
_DEPTH: Final = 10_000
_DEEP: Final = b'{"response":"","message":{"role":"assistant","content":""},"deep":%b,"done":false}\n' % (
    b"[" * _DEPTH + b"]" * _DEPTH
)
_HUGE_LINE: Final = 9 << 20  # beyond the 8 MiB that Ollama's own clients take
_BIG_FINAL: Final = 600_000
_BLOCK: Final = 1 << 16
_NUMBERS: Final = (
    (rb'"total_duration":\d+', b'"total_duration":-1'),
    (rb'"prompt_eval_count":\d+', b'"prompt_eval_count":1e308'),
    (rb'"eval_count":\d+', b'"eval_count":1e308'),
    (rb'"eval_duration":\d+', b'"eval_duration":-0'),
)


def _stall(steps: MakerSteps, script: Script) -> MakerSteps:
    yield from first_lines(steps, script.at)
    yield Wait(script.for_s)
    yield from steps


def _truncate(steps: MakerSteps, script: Script) -> MakerSteps:
    yield from first_lines(steps, script.at)
    yield WHOLE


def _error(steps: MakerSteps, script: Script) -> MakerSteps:
    yield from first_lines(steps, script.at)
    yield Line(go_json({"error": ERROR_WORDS[script.words]}) + b"\n")
    yield WHOLE


def _put_in(lines: tuple[bytes, ...]) -> LineFault:
    """Return the maker that puts ``count=`` of ``lines``, in turn, after line ``at=``."""

    def maker(steps: MakerSteps, script: Script) -> MakerSteps:
        yield from first_lines(steps, script.at)
        yield from (Line(data) for data in islice(cycle(lines), script.count))
        yield from steps

    return maker


def _duplicate_keys(steps: MakerSteps, _script: Script) -> MakerSteps:
    def twice(line: Line) -> Line:
        return line._replace(data=re.sub(rb'"(response|content)":', rb'"\1":"wrong","\1":', line.data, count=1))

    return (twice(step) if isinstance(step, Line) and step.content else step for step in steps)


def _huge_line(steps: MakerSteps, script: Script) -> MakerSteps:
    yield from first_lines(steps, script.at)
    left = script.size_or(_HUGE_LINE)
    start = b'{"response":"'
    while left > 0:
        block = (start + b"a" * _BLOCK)[: min(left, _BLOCK)]
        yield Line(block)
        start, left = b"", left - len(block)
    yield WHOLE


def _same(steps: MakerSteps, _script: Script) -> MakerSteps:
    """Leave the steps: what is said has no end, see speech.py."""
    return steps


def _final(change: Callable[[Line, Script], Iterator[MakerStep]]) -> LineFault:
    """Return the maker that puts what ``change`` makes of the final line in its place."""

    def maker(steps: MakerSteps, script: Script) -> MakerSteps:
        for step in steps:
            if isinstance(step, Line) and step.final:
                yield from change(step, script)
            else:
                yield step

    return maker


def _big_context(line: Line, script: Script) -> Iterator[MakerStep]:
    numbers = b",".join([b"31415"] * (script.size_or(_BIG_FINAL) // 6 + 1))
    bare = re.sub(rb'"context":\[[0-9,]*\],', b"", line.data)
    yield line._replace(data=bare.replace(b'"done":true', b'"done":true,"context":[%b]' % numbers, 1))


def _numbers(line: Line, _script: Script) -> Iterator[MakerStep]:
    data = line.data
    for pattern, replacement in _NUMBERS:
        data = re.sub(pattern, replacement, data)
    yield line._replace(data=data)


def _odd_counters(line: Line, _script: Script) -> Iterator[MakerStep]:
    later = b'"prompt_eval_cached_count":17,"draft_duration":0.5'
    yield line._replace(data=re.sub(rb'"prompt_eval_count":\d+', later, line.data))


def _odd_reason(line: Line, _script: Script) -> Iterator[MakerStep]:
    yield line._replace(data=re.sub(rb'"done_reason":"[a-z]+"', b'"done_reason":"weather"', line.data))


def _after_done(line: Line, _script: Script) -> Iterator[MakerStep]:
    yield line
    yield Line(_BOTH % (b'" too late"', b'" too late"'))
    yield Line(b'{"error":"too late"}\n')


def _every(change: Callable[[bytes], bytes]) -> LineFault:
    """Return the maker that changes the bytes of each line."""

    def maker(steps: MakerSteps, _script: Script) -> MakerSteps:
        return (step._replace(data=change(step.data)) if isinstance(step, Line) else step for step in steps)

    return maker


def _bom(steps: MakerSteps, _script: Script) -> MakerSteps:
    mark = b"\xef\xbb\xbf"
    for step in steps:
        if not isinstance(step, Line):
            yield step
            continue
        yield step._replace(data=mark + step.data)
        mark = b""


MAKERS: Final[Mapping[str, LineFault]] = {
    "stall": _stall,
    "truncate": _truncate,
    "error": _error,
    "malformed": _put_in(_MALFORMED),
    "not_object": _put_in(_NOT_OBJECTS),
    "wrong_type": _put_in(_WRONG_TYPES),
    "nan": _put_in(_NAN),
    "bad_call": _put_in(_BAD_CALL),
    "half_pair": _put_in(_HALF_PAIR),
    "bad_utf8": _put_in(_BAD_UTF8),
    "deep": _put_in((_DEEP,)),
    "duplicate_keys": _duplicate_keys,
    "huge_line": _huge_line,
    "endless": _same,
    "big_final": _final(_big_context),
    "huge_numbers": _final(_numbers),
    "odd_counters": _final(_odd_counters),
    "odd_reason": _final(_odd_reason),
    "twice": _final(lambda line, _script: chain([line], [line])),
    "after_done": _final(_after_done),
    "no_newline": _final(lambda line, _script: iter([line._replace(data=line.data[:-1])])),
    "blank": _every(lambda data: data + b"\n"),
    "crlf": _every(lambda data: data[:-1] + b"\r\n"),
    "bom": _bom,
}
