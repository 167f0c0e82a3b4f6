import json
from pathlib import Path

import pytest

from services.simulator.recordings import load_all, parse, replay
from services.simulator.script import Script
from services.simulator.simulator import Simulator
from services.simulator.steps import Ending, Wait, Write
from tests.eventually import soon
from tests.simulator.reader import Reader, ask, chat, generate, post

CAPTURES = Path(__file__).parents[1] / "captures"
RECORDINGS = load_all(CAPTURES)
WAYS = {Ending.WHOLE: "whole", Ending.FIN: "fin"}


def test_every_recording_of_generate_and_chat_can_be_asked_for() -> None:
    files = {path.stem for path in CAPTURES.glob("*.jsonl")}
    requests = {name: json.loads(_first(name))["request"] for name in files}
    asked = {("POST", "/api/generate"), ("POST", "/api/chat")}

    assert set(RECORDINGS) == {name for name, ask in requests.items() if (ask["method"], ask["path"]) in asked}


@pytest.mark.parametrize("case", sorted(RECORDINGS))
async def test_a_recording_comes_back_byte_for_byte(case: str, simulator: Simulator) -> None:
    recording = RECORDINGS[case]
    request = generate(case) if recording.endpoint == "generate" else chat(case)

    seen = await ask(simulator, request)

    assert seen.end == WAYS[recording.end.how]
    assert seen.body == recording.body
    assert (seen.status or None) == recording.status
    assert seen.fields.get("Content-Type", "") == recording.content_type
    if recording.chunked:
        recorded = [size for part in recording.parts for size in part.frames if size]
        assert [len(chunk) for chunk in seen.chunks] == recorded


async def test_a_recording_of_the_other_endpoint_says_so(simulator: Simulator) -> None:
    seen = await ask(simulator, chat("generate_stream"))

    assert (seen.status, seen.lines) == (400, [{"error": "simulator: generate_stream is a recording of /api/generate"}])


def test_a_replay_waits_as_long_as_the_recording_took() -> None:
    recording = RECORDINGS["fault_runner_sigterm_mid_stream"]

    own = sum(step.seconds for step in replay(recording, Script(), 0.0) if isinstance(step, Wait))
    tenth = sum(step.seconds for step in replay(recording, Script(pace=0.1), 0.0) if isinstance(step, Wait))
    none = sum(step.seconds for step in replay(recording, Script(pace=0), 0.0) if isinstance(step, Wait))

    assert own == pytest.approx(recording.end_s)
    assert tenth == pytest.approx(recording.end_s / 10)
    assert none == 0


def test_a_line_longer_than_a_read_is_framed_as_one_chunk() -> None:
    recording = RECORDINGS["generate_prompt_too_long"]

    sent = b"".join(step.data for step in replay(recording, Script(pace=0), 0.0) if isinstance(step, Write))

    assert b"\r\n\r\n5e\r\n" in sent
    assert sent.count(b"\r\n291b4\r\n") == 1
    assert sent.endswith(b"\n\r\n0\r\n\r\n")


def test_a_recording_of_another_route_is_none_of_ours() -> None:
    assert parse((CAPTURES / "tags.jsonl").read_text()) is None


async def test_a_reader_that_leaves_a_replay_ends_it(simulator: Simulator) -> None:
    reader = await Reader.connect(simulator.address.port)
    reader.send(post("/api/generate", {"model": "fault_runner_sigterm_mid_stream:pace=1", "prompt": "x"}))
    await reader.some()
    reader.leave()

    await soon(lambda: simulator.witness.calls_now == 0)

    assert simulator.witness.calls[0].end == "left"


def _first(name: str) -> str:
    return (CAPTURES / f"{name}.jsonl").read_text().split("\n", 1)[0]
