"""Ollama's judgement of bodies and names, held to each recorded error."""

import json
from math import inf
from pathlib import Path
from typing import Any

import pytest

from services.simulator.gojson import GoError, decode, replace_lone_surrogates
from services.simulator.recordings import load_all
from services.simulator.refusals import refuse_name
from services.simulator.script import is_model_name
from services.simulator.simulator import Simulator
from services.simulator.validation import InvalidRequest, duration_s, read_ask, refuse_options
from tests.simulator.reader import ask, post

RECORDINGS = load_all(Path(__file__).parents[1] / "captures")
ERRORS = sorted(case for case, recording in RECORDINGS.items() if (recording.status or 0) >= 400)
NOT_OF_THE_BODY = {
    "chat_prompt_too_long_native", "generate_prompt_too_long_truncate_false",  # context length: not simulated
    "fault_model_deleted_next", "fault_runner_kill9_mid_load", "fault_runner_kill9_mid_prefill",
    "fault_runner_kill9_nostream", "max_queue_503",
}  # fmt: skip


@pytest.mark.parametrize("case", [case for case in ERRORS if case not in NOT_OF_THE_BODY])
async def test_a_recorded_error_is_answered_alike(case: str, simulator: Simulator) -> None:
    recording = RECORDINGS[case]
    body = recording.request
    if isinstance(body, dict) and body.get("model") == "jsoner":
        body = body | {"model": "story"}  # a model that speaks JSON: the error is about the format

    seen = await ask(simulator, post(f"/api/{recording.endpoint}", body.encode() if isinstance(body, str) else body))

    assert (seen.status, seen.fields["Content-Type"]) == (recording.status, recording.content_type)
    assert seen.body == recording.body
    assert ("Content-Length" in seen.fields) is not recording.chunked
    assert "Retry-After" not in seen.fields


def test_most_recorded_errors_are_held() -> None:
    assert len(set(ERRORS) - NOT_OF_THE_BODY) >= 34
    assert set(ERRORS) >= NOT_OF_THE_BODY


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "unexpected EOF"),
        (b'{"a', "unexpected EOF"),
        (b"}", "invalid character '}' looking for beginning of value"),
        (b"{1:2}", "invalid character '1' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 2}', "invalid character '2' after object key:value pair"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b"9" * 5000, "invalid number"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_what_is_no_json_is_refused_in_gos_words(body: bytes, text: str) -> None:
    with pytest.raises(GoError) as caught:
        decode(body)

    assert str(caught.value) == text


def test_half_a_surrogate_pair_is_read_as_go_reads_it() -> None:
    assert replace_lone_surrogates(decode(b'"a\\ud800b"')) == "a\ufffdb"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), (0, 0), (5, 5), (2.5, 2.5), (-1, inf), ("0", 0), ("5m", 300), ("1h30m", 5400), ("1.5s", 1.5),
        ("250ms", 0.25), ("-5m", inf), ("+2s", 2),
    ],
)  # fmt: skip
def test_a_keep_alive_is_seconds_or_a_go_duration(value: Any, seconds: float | None) -> None:
    assert duration_s(value) == seconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("300", 'time: missing unit in duration "300"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        ("", 'time: invalid duration ""'),
        ("soon", 'time: invalid duration "soon"'),
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
    ],
)
def test_another_keep_alive_is_refused(value: Any, text: str) -> None:
    with pytest.raises(GoError) as caught:
        duration_s(value)

    assert str(caught.value) == text


def test_unknown_options_nulls_and_floats_for_whole_numbers_are_taken() -> None:
    refuse_options({"unknown": "x", "seed": None, "num_predict": 1.5, "temperature": 1, "stop": []})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'),
        ({"top_k": True}, 'option "top_k" must be of type integer'),
    ],
)
def test_an_option_of_another_type_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        refuse_options(options)

    assert (caught.value.status, caught.value.text) == (500, text)


@pytest.mark.parametrize("think", [5, [], {}])
def test_think_of_another_type_is_refused(think: Any) -> None:
    with pytest.raises(InvalidRequest, match="think must be a boolean or string"):
        read_ask("chat", json.dumps({"model": "x", "think": think}).encode())


def test_a_message_that_is_null_is_an_empty_one() -> None:
    assert read_ask("chat", b'{"model":"x","messages":[null]}').messages == [{}]


@pytest.mark.parametrize(
    ("endpoint", "name", "status", "text"),
    [
        ("chat", "", 400, "model is required"),
        ("generate", "", 404, "model '' not found"),
        ("chat", "a:cloud", 403, "ollama cloud is disabled: remote model is unavailable"),
        ("chat", "a-cloud", 403, "ollama cloud is disabled: remote model is unavailable"),
        ("chat", "a b", 400, "invalid model name"),
    ],
)
def test_a_name_that_cannot_be_served_is_refused(endpoint: str, name: str, status: int, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        refuse_name(endpoint, name, is_model_name(name))

    assert (caught.value.status, caught.value.text) == (status, text)


async def test_an_embedding_model_neither_generates_nor_chats(simulator: Simulator) -> None:
    generated = await ask(simulator, post("/api/generate", {"model": "embedder", "prompt": "x"}))
    chatted = await ask(simulator, post("/api/chat", {"model": "embedder", "messages": [{"role": "user"}]}))

    assert (generated.status, generated.lines) == (400, [{"error": '"embedder" does not support generate'}])
    assert (chatted.status, chatted.lines) == (400, [{"error": '"embedder" does not support chat'}])


async def test_a_script_that_cannot_be_read_is_told_what_was_expected(simulator: Simulator) -> None:
    seen = await ask(simulator, post("/api/chat", {"model": "sim:rate=fast", "messages": []}))

    assert (seen.status, seen.lines[0]["error"][:42]) == (400, "simulator: rate: expected a number from 0 ")
