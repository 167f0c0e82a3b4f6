"""Every recording of a real service, whole, byte by byte and in pieces of 2 to 4,096 bytes: as tabled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.providers.kinds import PROVIDERS
from services.wire.events import Code, FinishReason, Signature, Thinking, Usage
from tests.proxy.providers.cloud_speech import RECORDINGS, crlf_frames, frames, named_frames, question, told

MANY_CUTS = (*range(1, 130), *range(131, 4096, 97), 256, 512, 1024, 1460, 2048, 4090, 4096)
BYTES_OF_A_LONG_ONE = 20_000
"""A longer recording is cut in fewer ways: half a second would go with each of them."""
CUTS_OF_A_LONG_ONE = (1, 2, 5, 64, 1460, 4096)


@dataclass(frozen=True)
class Row:
    """What a recording says.

    Attributes:
        text, thinking: their lengths in characters, and how they begin.
        calls: names and arguments.
        seals: how many signatures come, on calls or behind thoughts.
    """

    text: tuple[int, str] = (0, "")
    thinking: tuple[int, str] = (0, "")
    calls: tuple[tuple[str, dict[str, Any]], ...] = ()
    seals: int = 0
    usage: Usage | None = None
    reason: FinishReason = FinishReason.STOP


WEATHER = ("weather", {"location": "San Francisco"})
ROWS: dict[str, Row] = {
    "openai/text.chunks": Row((1724, "**Holiday Name:** Harmony Day"), usage=Usage(16, 300, 0)),
    "openai/azure-router.chunks": Row((19, "Capital of Denmark."), usage=Usage(15, 78, 64)),
    "openai/xai-reasoning-tool-call.chunks": Row(
        thinking=(1069, "First, the user is asking"),
        calls=(WEATHER,),
        usage=Usage(307, 253, 227),  # 26 and what was thought: the total says so
        reason=FinishReason.TOOL_CALLS,
    ),
    "groq/text.chunks": Row((3189, 'Introducing "Luminaria"'), usage=Usage(45, 662)),
    "groq/tool-call.chunks": Row(calls=(("weather", {}),), usage=Usage(210, 15), reason=FinishReason.TOOL_CALLS),
    "anthropic/text.chunks": Row((108, "Hello! I'm doing well"), usage=Usage(12, 30)),
    "anthropic/message-delta-input-tokens.chunks": Row((4, "pong"), usage=Usage(61, 2)),
    "anthropic/json-output-format.1.chunks": Row((1267, '{"characters":[{"name":"Theron'), usage=Usage(313, 305)),
    "anthropic/clear-thinking.1.chunks": Row(
        (13, "925 ÷ 5 = 185"), (75, "The previous result was 925."), seals=1, usage=Usage(69, 53)
    ),
    "anthropic/clear-tool-uses.1.chunks": Row((440, "\n\nHere's a comparison"), usage=Usage(859, 122)),
    "anthropic/refusal.chunks": Row(usage=Usage(18, 5), reason=FinishReason.CONTENT_FILTER),
    "anthropic/tool-no-args.chunks": Row(
        (35, "I'll update the issue list"),
        calls=(("updateIssueList", {}),),
        usage=Usage(565, 48),
        reason=FinishReason.TOOL_CALLS,
    ),
    "anthropic/sdk-basic_response.sse": Row((12, "Hello there!"), usage=Usage(11, 6)),
    "anthropic/sdk-tool_use_response.sse": Row(
        (48, "I'll check the current weather"),
        calls=(("get_weather", {"location": "Paris"}),),
        usage=Usage(377, 65),
        reason=FinishReason.TOOL_CALLS,
    ),
    "gemini/text.chunks": Row((55, 'There are **3** "r"s'), seals=1, usage=Usage(9, 208, 185)),
    "gemini/reasoning.chunks": Row((79, 'There are **3** "r"s'), seals=1, usage=Usage(9, 285, 256)),
    "gemini/tool-call.chunks": Row(calls=(WEATHER,), seals=1, usage=Usage(29, 60, 45), reason=FinishReason.TOOL_CALLS),
    "gemini/tool-call-gemini3.chunks": Row(
        calls=(WEATHER,), seals=1, usage=Usage(29, 819, 804), reason=FinishReason.TOOL_CALLS
    ),
}
REFUSALS = ("gemini/error-429-retry-info.json", "openai/error-400-unsupported-parameter.json")
WRITTEN = {"openai": frames, "groq": frames, "anthropic": named_frames, "gemini": crlf_frames}


def recorded(name: str) -> bytes:
    """Return the bytes of a recording; a test of one that is not there is skipped by its name."""
    path = RECORDINGS / name
    if not path.exists():
        pytest.skip(f"../shared/recordings/{name} is not on this machine")
    return path.read_bytes()


def body_of(name: str) -> bytes:
    """Return a recorded stream as it came over the wire."""
    body = recorded(name)
    if name.endswith(".sse"):
        return body
    return WRITTEN[Path(name).parent.name](*(orjson.loads(line) for line in body.split(b"\n") if line.strip()))


@pytest.mark.parametrize("name", ROWS)
def test_a_recording_says_what_is_tabled_however_its_bytes_are_cut(name: str) -> None:
    row, body = ROWS[name], body_of(name)
    cuts = MANY_CUTS if len(body) < BYTES_OF_A_LONG_ONE else CUTS_OF_A_LONG_ONE

    answer = told(Path(name).parent.name, body, cuts=cuts)

    text, thinking = answer.text(), answer.text(Thinking)
    assert (len(text), text[: len(row.text[1])]) == row.text
    assert (len(thinking), thinking[: len(row.thinking[1])]) == row.thinking
    assert tuple((call.name, dict(call.arguments)) for call in answer.calls) == row.calls
    seals = [event for event in answer.events if isinstance(event, Signature)]
    assert len(seals) + sum(call.extra is not None for call in answer.calls) == row.seals
    assert (answer.completion.reason, answer.completion.usage, answer.skipped) == (row.reason, row.usage, 0)


@pytest.mark.parametrize("name", ROWS)
def test_a_recording_that_is_cut_before_its_end_is_never_whole(name: str) -> None:
    """A clean end is no end (litellm#40260 makes a `stop` of it)."""
    provider, body = Path(name).parent.name, body_of(name)
    ends = {"anthropic": b"event: message_stop", "gemini": b'"finishReason"'}.get(provider, b'"finish_reason":"')
    before_end = body[: body.rindex(ends)]
    before_end = before_end[: before_end.rindex(b"\n\n" if provider != "gemini" else b"data:")]

    answer = told(provider, before_end, cuts=(1460,))

    assert getattr(answer.end, "code", None) is Code.UPSTREAM_TRUNCATED


@pytest.mark.skipif(not RECORDINGS.exists(), reason="../shared/recordings is not on this machine")
def test_every_recording_is_in_the_table() -> None:
    files = {str(path.relative_to(RECORDINGS)) for path in RECORDINGS.glob("*/*")}

    assert files == {*ROWS, *REFUSALS}


def test_a_recorded_400_names_the_parameter_to_leave_out() -> None:
    asked = question("gpt-9", max_output_tokens=5)

    refusal = PROVIDERS["openai"].adapter(asked).refused(400, {}, recorded(REFUSALS[1]))

    assert (refusal.without, refusal.failed.code) == ("max_tokens", Code.INVALID_REQUEST)


def test_a_recorded_429_says_in_its_body_how_long_to_wait() -> None:
    refusal = PROVIDERS["gemini"].adapter(question()).refused(429, {}, recorded(REFUSALS[0]))

    assert (refusal.why, refusal.wait_s, refusal.failed.code) == ("429", 34.4, Code.UPSTREAM_UNAVAILABLE)
