import json
from pathlib import Path

import pytest

from services.simulator.lines import LineMaker, Stamper, go_json, rfc3339_nano
from services.simulator.recordings import load_all

RECORDINGS = load_all(Path(__file__).parents[1] / "captures")


@pytest.mark.parametrize("case", sorted(case for case in RECORDINGS if "logprobs" not in case))
def test_json_is_written_as_the_recorded_go_wrote_it(case: str) -> None:
    """Byte for byte, on every line of a recording; the two with logprobs hold floats in another notation."""
    lines = [line for line in RECORDINGS[case].body.split(b"\n") if line]

    assert [go_json(json.loads(line)) for line in lines] == lines


@pytest.mark.parametrize(
    ("time_ns", "stamp"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (1_795_245_152_950_329_092, "2026-11-21T07:12:32.950329092Z"),
        (1_795_245_152_000_000_010, "2026-11-21T07:12:32.00000001Z"),
    ],
)
def test_a_stamp_drops_trailing_zeros(time_ns: int, stamp: str) -> None:
    stamper = Stamper()

    assert rfc3339_nano(time_ns) == stamp
    assert [stamper(time_ns), stamper(time_ns)] == [stamp.encode()] * 2


def test_a_token_line_is_the_recorded_one() -> None:
    first = RECORDINGS["generate_stream"].body.split(b"\n")[0] + b"\n"

    assert LineMaker("generate", "story").text("The", 1_795_245_152_950_329_092) == first


def test_a_call_line_is_the_recorded_one() -> None:
    first = RECORDINGS["chat_tool_call"].body.split(b"\n")[0] + b"\n"
    call = json.loads(first)["message"]["tool_calls"][0]

    assert LineMaker("chat", "tooler").call(call, 1_795_245_158_169_384_573) == first
