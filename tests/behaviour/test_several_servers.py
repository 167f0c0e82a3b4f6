"""Several model servers in an order: who is asked, who answers, and what a client is told of it.

End to end: proxy/upstream/servers.py, proxy/upstream/catalog.py, proxy/upstream/all_models.py and
proxy/upstream/key_checks.py.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from proxy.upstream.breaker import FAILURES_IN_A_ROW, State
from proxy.upstream.retry_budget import FEWEST
from services.runtime.tasks import Tasks
from tests.behaviour.several_servers import (
    ASK,
    KEY,
    NATIVE,
    Answer,
    Asked,
    Proxy,
    a_gateway,
    a_scene,
    ollama_spoken,
    said,
    spoken,
)
from tests.eventually import soon
from tests.machine import needs
from tests.reader import Client

pytestmark = needs("openssl")
BUSY = said(503, {"error": "busy"})


async def scraped(proxy: Proxy) -> dict[str, float]:
    async with Client(proxy.metrics_url) as client:
        text = (await client.get("/metrics")).body.decode()
    lines = (line.rpartition(" ") for line in text.split("\n") if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


# --- the first answers, or the next


async def test_the_first_that_answers_has_answered_and_nobody_else_is_asked(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    async with a_scene(tmp_path, certificate, gpu=ollama_spoken("Hel", "lo"), groq=spoken("no")) as scene:
        answer = await scene.ask()

        assert answer.text == "Hello"
        assert answer.end["served_by"] == {"provider": "ollama", "server": "gpu", "model": "m", "attempts": 1}
        assert scene.groq.questions() == []


FIRST: Mapping[str, tuple[Answer, str]] = {
    "busy": (BUSY, "5xx"),
    "broken": (said(500, {"error": "crashed"}), "5xx"),
    "limited": (said(429, {"error": "slow down"}), "429"),
    "without the model": (said(404, {"error": "model 'm' not found"}), "404"),
    "a page of HTML": (said(200, b"<html>welcome</html>", "text/html"), "malformed"),
    "an error line": (said(200, {"error": "no memory"}), "error"),
    "an end without an answer": (said(200, b""), "eof"),
    "silent": (None, "first_token"),
}


@pytest.mark.parametrize("how", FIRST)
async def test_where_the_first_does_not_answer_the_next_one_does_and_it_is_said(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], how: str
) -> None:
    """U5, U7, U9, M11: one stream, no error; who answered, after how many calls, and why not the first."""
    first, code = FIRST[how]
    patience_s = 0.3 if first is None else 30
    async with a_scene(tmp_path, certificate, gpu=first, groq=spoken("Hel", "lo"), gpu_s=patience_s) as scene:
        answer = await scene.ask()

        assert (answer.status, answer.text, answer.reason) == (200, "Hello", "stop")
        served = {"provider": "groq", "server": "groq", "model": "llama-3.3-70b", "attempts": 2}
        assert answer.end["served_by"] == served
        assert answer.end["usage"] == {"input_tokens": 7, "output_tokens": 2}
        [asked] = scene.groq.questions()
        assert (asked.path, asked.headers["authorization"]) == ("/openai/v1/chat/completions", f"Bearer {KEY}")
        assert asked.body["model"] == "llama-3.3-70b"
        metrics = await scraped(scene.proxy)
        steps = {name: value for name, value in metrics.items() if name.startswith("llm_fallbacks_total") and value}
        assert steps == {f'llm_fallbacks_total{{code="{code}",from="gpu",to="groq"}}': 1.0}


SECOND: Mapping[str, tuple[Answer, float]] = {
    "its key is refused": (said(401, {"error": {"message": f"no such key {KEY}"}}), 30),
    "its quota is spent": (said(429, {"error": {"message": "no", "code": "insufficient_quota"}}), 30),
    "an error before content": (
        said(200, b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n', "text/event-stream"),
        30,
    ),
    "silent": (None, 0.3),
}
"""With how long it is waited for, in seconds."""


@pytest.mark.parametrize("how", SECOND)
async def test_where_the_second_does_not_answer_either_the_third_does(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], how: str
) -> None:
    second, patience_s = SECOND[how]
    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=second, openai=spoken("yes"), groq_s=patience_s) as scene:
        answer = await scene.ask()

        assert (answer.text, answer.end["served_by"]["server"]) == ("yes", "openai")
        assert answer.end["served_by"]["attempts"] == 3


async def test_where_all_are_down_it_says_that_ai_is_unavailable_and_what_was_tried(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """Names and words, no hosts, no key, and when to come back."""
    refused = said(401, {"error": {"message": f"no such key {KEY} at api.groq.com"}})
    spent = said(429, {"error": {"message": "slow down"}}, extra="Retry-After: 20\r\n")
    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=refused, openai=spent) as scene:
        answer = await scene.ask()

        assert (answer.status, answer.error["code"], answer.error["retryable"]) == (503, "upstream_unavailable", True)
        assert answer.error["message"].startswith("AI unavailable. ")
        assert answer.error["message"].endswith("Tried gpu (5xx), groq (401), openai (429).")
        tried = [("gpu", "5xx"), ("groq", "401"), ("openai", "429")]
        assert [(one["server"], one["code"]) for one in answer.error["tried"]] == tried
        assert answer.headers["Retry-After"] == "20"
        assert KEY.encode() not in answer.body


async def test_behind_content_nobody_else_is_asked(tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]) -> None:
    """U8, P2: no second answer is shown as the end of the first."""
    cut = said(200, ollama_spoken("Hel").partition(b"\r\n\r\n")[2].split(b"\n")[0] + b"\n", "application/x-ndjson")
    async with a_scene(tmp_path, certificate, gpu=cut, groq=spoken("no")) as scene:
        answer = await scene.ask()

        assert (answer.text, answer.reason) == ("Hel", "upstream_truncated")
        assert scene.groq.questions() == []


async def test_what_the_first_finds_wrong_with_a_request_is_told_and_nobody_else_is_asked(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    wrong = said(400, {"error": "this conversation is too long"})
    async with a_scene(tmp_path, certificate, gpu=wrong, groq=spoken("no")) as scene:
        answer = await scene.ask()

        assert (answer.status, answer.error["message"]) == (400, "this conversation is too long")
        assert scene.groq.questions() == []


def retrying(answer: Any) -> list[Any]:
    return [data for data in answer.data if data.get("phase") == "retrying"]


async def test_a_status_says_whom_it_asks_next(tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]) -> None:
    """It is never held back behind another status."""
    async with (
        a_scene(tmp_path, certificate, gpu=BUSY) as scene,
        scene.client.open("POST", "/api/chat/stream", ASK, NATIVE) as reading,
    ):
        await reading.until(retrying)
        shown = retrying(reading.answer)

    assert (shown[0]["server"], shown[0]["attempt"]) == ("groq", 2)


# --- what stays, and what goes


async def test_what_may_not_leave_stays_and_says_so_where_nobody_is_there(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=spoken("no"), more='"far" = ["groq"]') as scene:
        stayed, nobody = await scene.ask(local_only=True), await scene.ask(model="far", local_only=True)

        assert (stayed.status, nobody.status) == (503, 503)
        assert "may not leave the operator's machines" in nobody.error["message"]
        assert scene.groq.questions() == []


async def test_a_misspelt_name_does_not_go_to_who_takes_any_name(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """The list was asked for and does not have it; nor does it while the Ollama is down."""
    missing = said(404, {"error": "model 'lama' not found"})
    async with a_scene(tmp_path, certificate, gpu=missing, groq=spoken("no")) as scene:
        answer = await scene.ask(model="lama")

        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert scene.groq.questions() == []


async def test_a_model_whose_chain_names_one_server_is_asked_of_it_alone(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """A route of one server ends with that server's own word."""
    async with a_scene(tmp_path, certificate, gpu=said(404, {"error": "model 'only-here' not found"})) as scene:
        answer = await scene.ask(model="only-here")

        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert "tried" not in answer.error
        assert scene.groq.questions() == scene.openai.questions() == []


# --- certificates and keys


async def test_a_certificate_that_does_not_fit_gets_no_question_and_the_next_is_asked(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=spoken("no"), trusts=False) as scene:
        answer = await scene.ask()

        assert (answer.status, answer.error["code"]) == (503, "upstream_unavailable")
        assert answer.error["message"].endswith("Tried gpu (5xx), groq (tls), openai (tls).")
        assert scene.groq.asked == []


async def test_a_refused_key_is_said_on_the_health_page_and_asked_again_when_its_file_changes(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    def judge(asked: Asked) -> Answer:
        right = asked.headers.get("authorization") == "Bearer another-key"
        return spoken("yes") if right else said(401, {"error": {"message": "wrong"}})

    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=judge, openai=spoken("third")) as scene:
        first, second = await scene.ask(), await scene.ask()
        page = json.loads((await scene.client.get("/health?verbose")).body)
        asked_before = len(scene.groq.questions())
        (tmp_path / "key").write_text("another-key\n")

        await soon(lambda: len(scene.groq.asked) > asked_before + 1, "the new key is checked", within_s=10)
        third = await scene.ask()

        assert [one.end["served_by"]["server"] for one in (first, second, third)] == ["openai", "openai", "groq"]
        assert asked_before == 1  # its key was marked
        row = next(row for row in page["servers"] if row["name"] == "groq")
        assert (page["status"], row["status"], row["why"]) == ("degraded", "degraded", "marked")
        assert "was refused (401)" in row["key"]
        assert KEY not in json.dumps(page)


# --- lists


async def test_the_lists_of_all_are_shown_as_one(tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]) -> None:
    async with a_scene(tmp_path, certificate, more='"gpt" = ["openai"]') as scene:
        scene.gpu.loaded = ("m",)
        tags = json.loads((await scene.client.get("/api/tags")).body)["models"]
        running = json.loads((await scene.client.get("/api/ps")).body)["models"]
        version = json.loads((await scene.client.get("/api/version")).body)
        shown = json.loads((await scene.client.ask("/api/show", {"model": "gpt"})).body)

        assert [(model["name"], model["servers"]) for model in tags[:2]] == [("m", ["gpu"]), ("other", ["gpu"])]
        assert [(model["name"], model["server"]) for model in running] == [("m", "gpu")]
        assert (version, shown["details"]) == ({"version": "0.33.0"}, {"family": "openai"})


async def test_each_server_s_state_is_measured_by_its_name(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    async with a_scene(tmp_path, certificate, gpu=ollama_spoken("x")) as scene:
        await scene.ask()
        metrics = await scraped(scene.proxy)

        assert metrics['llm_upstream_circuit_state{gen_ai_request_model="m",upstream="gpu"}'] == 0
        assert metrics['llm_upstream_up{upstream="gpu"}'] == 1
        for name in ("gpu", "groq", "openai"):
            assert metrics[f'llm_permits_in_use{{gen_ai_request_model="m",server="{name}"}}'] == 0
            assert metrics[f'llm_upstream_connections{{server="{name}",state="active"}}'] == 0
            assert metrics[f'llm_admission_slots{{server="{name}"}}'] > 0
            assert metrics[f'llm_admission_queue_length{{server="{name}"}}'] == 0  # a further turn waits anywhere


async def test_a_gateway_shows_which_servers_have_a_model_and_passes_on_that_it_may_not_leave(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=spoken("no")) as scene, a_gateway(scene.proxy.url) as url:
        async with Client(url) as client:
            models = json.loads((await client.get("/api/models")).body)["models"]
            stayed = await client.chat("m", local_only=True)
            gone = await client.chat("m")

        assert models[0]["servers"] == ["gpu"]
        assert (stayed.status, stayed.error["code"]) == (503, "upstream_unavailable")
        assert gone.end is not None
        assert (gone.text, gone.end["served_by"]["server"]) == ("no", "groq")


async def test_servers_that_fail_again_and_again_are_left_alone(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """U14: behind five failures nobody is asked, and who asks is told at once what is open."""
    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=BUSY, openai=BUSY) as scene:
        answers = [await scene.ask() for _ in range(12)]

        assert {answer.failure["code"] for answer in answers} == {"upstream_unavailable"}
        assert {one["code"] for one in answers[-1].error["tried"]} == {"open"}
        assert max(len(server.questions()) for server in (scene.gpu, scene.groq, scene.openai)) <= 5 + 2


async def test_a_storm_of_repeats_is_a_tenth_of_what_is_asked_and_three(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """O11: the last one that is left is asked again, but not by everybody."""
    limited = said(429, {"error": {"message": "slow down"}})
    more = "[defaults]\npermits = 32"  # nobody waits in line
    async with a_scene(tmp_path, certificate, gpu=limited, groq=limited, openai=limited, more=more) as scene:
        answers = await asyncio.gather(*(scene.ask() for _ in range(12)))
        metrics = await scraped(scene.proxy)

        assert {answer.failure["code"] for answer in answers} == {"upstream_unavailable"}
        assert [len(server.questions()) for server in (scene.gpu, scene.groq)] == [12, 12]
        assert 12 < len(scene.openai.questions()) <= 12 + FEWEST
        assert 'llm_fallbacks_total{code="429",from="groq",to="openai"}' in metrics


@pytest.mark.parametrize(
    ("can", "answers"), [(("completion", "vision"), "groq"), (("completion", "tools"), "gpu"), (("completion",), "gpu")]
)
async def test_a_server_whose_list_says_that_its_model_knows_no_tools_is_passed_by(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], can: tuple[str, ...], answers: str
) -> None:
    """Without a call. A list that says ``completion`` alone may not say it all: there the model server is asked."""
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    async with a_scene(tmp_path, certificate, gpu=ollama_spoken("x"), groq=spoken("y"), can=can) as scene:
        with_tools, without = await scene.ask(tools=[tool]), await scene.ask()

        assert [one.end["served_by"]["server"] for one in (with_tools, without)] == [answers, "gpu"]
        assert len(scene.gpu.questions()) == 1 + (answers == "gpu")


async def test_where_a_server_may_be_tried_again_one_stream_tries_and_its_first_token_lets_all_others_in(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    """U15, U16: while it is waited for nobody else is sent there, and who leaves frees the try."""
    more, tasks = "[breaker]\nopen_s = 0.2\n[defaults]\npermits = 32", Tasks()
    async with a_scene(tmp_path, certificate, gpu=BUSY, groq=spoken("y"), more=more) as scene:
        while len(scene.gpu.questions()) < FAILURES_IN_A_ROW:
            await scene.ask()
        scene.gpu.answer = None
        circuit = scene.proxy.service.metrics.circuit.labels("gpu", "m")
        await soon(
            lambda: [one.value for family in circuit.collect() for one in family.samples] == [State.HALF_OPEN],
            "somebody may try",
        )
        trying = tasks.spawn(scene.ask(), "the one that tries")
        await soon(lambda: scene.gpu.open == 1, "it is asked")
        others = await asyncio.gather(*(scene.ask() for _ in range(20)))
        tried = len(scene.gpu.questions()) - FAILURES_IN_A_ROW
        trying.cancel()
        await soon(lambda: scene.gpu.open == 0, "it has left")
        scene.gpu.answer = ollama_spoken("x")
        async with asyncio.timeout(20):
            while (await scene.ask()).end["served_by"]["server"] != "gpu":
                pass  # the try is free as soon as its call is closed
        back = [(await scene.ask()).end["served_by"]["server"] for _ in range(3)]
        await tasks.close()

    assert {answer.end["served_by"]["server"] for answer in others} == {"groq"}
    assert (tried, back) == (1, ["gpu", "gpu", "gpu"])
