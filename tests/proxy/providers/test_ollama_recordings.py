"""Every recording of a real Ollama, fed to the adapter under every kind of cut."""

from pathlib import Path

import orjson
import pytest

from proxy.providers.adapter import Adapter, AttemptFailed, Question
from proxy.providers.ollama import OllamaAdapter
from proxy.streams.log import StreamLog
from services.simulator.recordings import Recording, load_all
from services.simulator.steps import WHOLE
from services.wire.events import Code, Completion, Failed, FinishReason, Thinking, Token, ToolCall, Usage
from services.wire.native import Numbered
from tests.proxy.providers.ollama_speech import asked

RECORDINGS = load_all(Path(__file__).parents[2] / "captures")
STREAMS = sorted(case for case, recording in RECORDINGS.items() if recording.status == 200)
REFUSALS = sorted(case for case, recording in RECORDINGS.items() if recording.status not in {200, None})
LOG_BYTES = 32 << 20


def adapter_of(recording: Recording) -> OllamaAdapter:
    return OllamaAdapter(Question(asked(recording.endpoint), "m"))


def told(recording: Recording, chunks: list[bytes]) -> tuple[list[Numbered], int, Completion | Failed]:
    """Return the log, merged, the number of its last event, and what the adapter says of the end."""
    adapter: Adapter = adapter_of(recording)
    log = StreamLog(LOG_BYTES)
    for chunk in chunks:
        if (end := adapter.feed(chunk, log)) is not None:
            break
    else:
        end = adapter.end(log)
    assert not isinstance(end, AttemptFailed)
    events: list[Numbered] = []
    while batch := log.after(events[-1][0] if events else 0):
        events += batch
    return events, log.last, end


def lines_of(recording: Recording) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in recording.body.split(b"\n") if line]


def said_in(recording: Recording, field: str) -> str:
    """The text under ``field``, read as the simplest client reads it: line by line, with nothing of ours."""
    text = ""
    for line in lines_of(recording):
        message = line.get("message", line)
        text += str(message.get(field) or "") if isinstance(message, dict) else ""
    return text


@pytest.mark.parametrize("case", STREAMS)
def test_a_recording_gives_the_same_log_however_its_bytes_are_cut(case: str) -> None:
    """M4: byte by byte is every cut inside a character, an escape and a line end; 4,090 is where a real server cut."""
    recording = RECORDINGS[case]
    body = recording.body

    whole = told(recording, [body])

    assert told(recording, [part.data for part in recording.parts]) == whole
    for size in (1, 2, 3, 7, 1000, 4090):
        assert told(recording, [body[at : at + size] for at in range(0, len(body), size)]) == whole


@pytest.mark.parametrize("case", STREAMS)
def test_a_recording_s_text_is_carried_to_its_last_character(case: str) -> None:
    recording = RECORDINGS[case]
    text = "response" if recording.endpoint == "generate" else "content"

    events, _, _ = told(recording, [recording.body])

    for kind, field in ((Token, text), (Thinking, "thinking")):
        assert "".join(event.content for _, event in events if isinstance(event, kind)) == said_in(recording, field)


@pytest.mark.parametrize("case", STREAMS)
def test_a_recording_ends_well_only_by_the_server_s_own_last_word(case: str) -> None:
    recording = RECORDINGS[case]
    last = (lines_of(recording) or [{}])[-1]

    _, _, end = told(recording, [recording.body])

    if last.get("done") is True:
        assert isinstance(end, Completion)
        counts = last.get("prompt_eval_count"), last.get("eval_count")
        assert end.usage == (None if counts == (None, None) else Usage(*counts))  # type: ignore[arg-type] # Ollama's own
        assert end.fields == {name: last[name] for name in last if name.endswith(("_reason", "_count", "_duration"))}
    else:
        assert isinstance(end, Failed)
        assert end.code is (Code.UPSTREAM_ERROR if "error" in last else Code.UPSTREAM_TRUNCATED)


@pytest.mark.parametrize("case", REFUSALS)
def test_a_recorded_refusal_is_answered_in_words_that_name_no_place(case: str) -> None:
    recording = RECORDINGS[case]
    assert recording.status is not None

    refusal = adapter_of(recording).refused(recording.status, {}, recording.body)

    assert refusal.failed.message
    assert not any(place in refusal.failed.message for place in ("/root", "registry", "127.0.0.1", "http", '{"'))
    assert refusal.again is (recording.status in {500, 503} and case != "fault_runner_kill9_mid_load")


def test_a_recorded_load_that_failed_is_not_repeated_nor_called_retryable() -> None:
    recording = RECORDINGS["fault_runner_kill9_mid_load"]

    refusal = adapter_of(recording).refused(500, {}, recording.body)

    assert (refusal.again, refusal.failed.may_retry) == (False, False)


def test_a_recorded_tool_call_that_num_predict_cut_is_not_retryable() -> None:
    """The same request is cut at the same place."""
    recording = RECORDINGS["chat_native_tool_cut_short"]

    _, _, end = told(recording, [recording.body])

    assert isinstance(end, Failed)
    assert (end.code, end.may_retry) == (Code.UPSTREAM_ERROR, False)
    assert "get_weather" in end.message


@pytest.mark.parametrize("case", ["chat_tool_call", "chat_native_tool_call", "chat_tool_call_nostream"])
def test_a_recorded_tool_call_is_told_with_its_arguments(case: str) -> None:
    events, _, end = told(RECORDINGS[case], [RECORDINGS[case].body])

    calls = [event for _, event in events if isinstance(event, ToolCall)]

    assert [(call.name, dict(call.arguments)) for call in calls] == [("get_weather", {"city": "Reykjavík", "days": 3})]
    assert calls[0].call_id
    assert isinstance(end, Completion)
    assert end.reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("case", ["generate_num_predict_3", "chat_think_cut_short"])
def test_a_recorded_answer_that_was_cut_short_says_so(case: str) -> None:
    _, _, end = told(RECORDINGS[case], [RECORDINGS[case].body])

    assert isinstance(end, Completion)
    assert end.reason is FinishReason.LENGTH


@pytest.mark.parametrize("case", ["generate_token_repeat", "chat_token_repeat"])
def test_the_repeat_guard_s_clean_end_is_a_truncation(case: str) -> None:
    """A proper last chunk without ``done:true`` is no end."""
    recording = RECORDINGS[case]

    _, _, end = told(recording, [recording.body])

    assert recording.end == WHOLE
    assert isinstance(end, Failed)
    assert end.code is Code.UPSTREAM_TRUNCATED
