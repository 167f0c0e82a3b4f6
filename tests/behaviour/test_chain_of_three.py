"""The simulator, then Groq, then Gemini: who answers where some of them do not, and what a client sees of it."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.behaviour.chain_of_three import FIRST, FIRST_TOKEN_S, GEMINI_BUSY, SECOND, three
from tests.behaviour.several_servers import KEY
from tests.chain import Server
from tests.machine import needs

pytestmark = needs("openssl")
BROKEN = "sim:status=500"


@pytest.fixture(scope="module")
def simulator() -> Iterator[str]:
    server = Server(
        "services.simulator", {"SLUICE_SIMULATOR_LISTEN": "127.0.0.1:0", "SLUICE_SIMULATOR_SCRIPT": "rate=0"}
    )
    yield server.url
    server.stop()


async def test_the_first_answers_as_long_as_it_can(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], simulator: str
) -> None:
    async with three(tmp_path, certificate, simulator) as scene:
        answer, _ = await scene.ask("sim")

        assert (answer.end["served_by"]["server"], answer.end["served_by"]["attempts"]) == ("sim", 1)
        assert scene.groq.questions() == scene.gemini.questions() == []


@pytest.mark.parametrize("how", FIRST)
async def test_however_the_first_fails_the_second_answers(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], simulator: str, how: str
) -> None:
    """U5, U7, U9, M11."""
    model, word = FIRST[how]
    async with three(tmp_path, certificate, simulator) as scene:
        answer, took_s = await scene.ask(model)

        assert (answer.status, answer.text, answer.reason) == (200, "from groq", "stop")
        served = {"provider": "groq", "server": "groq", "model": "llama-3.3-70b", "attempts": 2}
        assert answer.end["served_by"] == served
        assert took_s >= (FIRST_TOKEN_S if how == "is mute" else 0)
        assert scene.gemini.questions() == []
        fallbacks = scene.proxy.service.metrics.fallbacks
        assert fallbacks.labels("stopped" if model == "stopped" else "sim", "groq", word).value == 1


@pytest.mark.parametrize("how", SECOND)
async def test_however_the_second_fails_the_third_answers_in_its_own_language(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], simulator: str, how: str
) -> None:
    groq, _ = SECOND[how]
    async with three(tmp_path, certificate, simulator, groq=groq) as scene:
        answer, took_s = await scene.ask(BROKEN)

        assert (answer.text, answer.reason) == ("from gemini", "stop")
        served = {"provider": "gemini", "server": "gemini", "model": "gemini-2.5-flash", "attempts": 3}
        assert answer.end["served_by"] == served
        assert answer.end["usage"] == {"input_tokens": 3, "output_tokens": 2}
        assert took_s >= (FIRST_TOKEN_S if how == "is silent" else 0)
        [asked] = scene.gemini.questions()
        assert asked.path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
        assert asked.headers["x-goog-api-key"] == KEY


@pytest.mark.parametrize("how", SECOND)
async def test_where_all_three_fail_it_says_that_ai_is_unavailable_and_what_was_tried(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], simulator: str, how: str
) -> None:
    groq, word = SECOND[how]
    async with three(tmp_path, certificate, simulator, groq=groq, gemini=GEMINI_BUSY) as scene:
        answer, _ = await scene.ask(BROKEN)

        error = answer.failure
        assert error["code"] == "upstream_unavailable"
        assert error["message"].startswith("AI unavailable. ")
        assert error["message"].endswith(f"Tried sim (5xx), groq ({word}), gemini (5xx).")
        assert KEY.encode() not in answer.body
