"""What a model server can do wrong, and what its reader is told: cases U of docs/faults.md, with one provider."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pytest

from services.simulator.prose import prose
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually
from tests.ports import free_port
from tests.reader import Answer, Client

SIMULATOR: Final = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
MOST_ATTEMPTS: Final = 3
FIRST_WAIT_S: Final = 0.25
JITTER: Final = 0.25
Slow = Future[dict[str, tuple[Answer, float]]]
SLACK_S: Final = 3.0  # of a busy machine; who is not let go would be read for ten seconds
EARLY_S: Final = 0.005  # libuv counts whole milliseconds, from the beginning of a turn of the loop


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    address = f"127.0.0.1:{free_port()}"  # where it comes back
    with (
        running_chain(simulator={**SIMULATOR, "LISTEN": address}, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


@pytest.fixture(scope="module", autouse=True)
def slow(chain: Chain) -> Iterator[Slow]:
    """The answers that only a deadline of seconds ends, asked for all at once, ahead, and how long each took."""
    asked: dict[str, dict[str, Any]] = {
        "sim:tokens=5,fault=header_stall": {},
        "sim:tokens=5,fault=mute": {},
        "sim:tokens=20,fault=stall,at=10": {},
        "tooler:fault=stall,at=0": {"tools": [{"type": "function", "function": {"name": "clock"}}]},
        "sim:fault=stall,at=3": {"format": "json"},
        "sim:tokens=1000,rate=3": {},
    }

    async def timed(client: Client, model: str, fields: dict[str, Any]) -> tuple[Answer, float]:
        started = time.monotonic()
        answer = await client.chat(model, **fields)
        return answer, time.monotonic() - started

    async def ask_all() -> dict[str, tuple[Answer, float]]:
        async with Client(chain.gateway.url) as client:
            answers = await asyncio.gather(*(timed(client, model, fields) for model, fields in asked.items()))
        return dict(zip(asked, answers, strict=True))

    with ThreadPoolExecutor(1) as ahead:
        yield ahead.submit(asyncio.run, ask_all())


def text_of(tokens: int) -> str:
    return "".join(prose(tokens))


# --- the body breaks off, or ends without the last word


@pytest.mark.parametrize("fault", ["reset", "close", "cut"])
async def test_a_body_that_breaks_off_is_upstream_disconnected_with_its_whole_text(fault: str, client: Client) -> None:
    """U2, U3: RST after some 900 bytes, FIN between chunks, FIN inside a chunk."""
    answer = await client.chat(f"sim:tokens=20,fault={fault},at=8")

    assert (answer.status, answer.reason, answer.text) == (200, "upstream_disconnected", text_of(8))
    assert answer.ended_cleanly


async def test_a_reset_in_the_same_turn_as_its_last_token_shows_only_true_text(client: Client) -> None:
    """U2: what an RST overtakes is lost in the kernel, but nothing wrong is shown for it."""
    answer = await client.chat("sim:tokens=20,fault=reset_at_once,at=8")

    assert (answer.error["code"] if answer.status != 200 else answer.reason) == "upstream_disconnected"
    assert text_of(8).startswith(answer.text)


async def test_a_reset_behind_the_last_word_takes_nothing_from_a_finished_answer(client: Client) -> None:
    answers = await asyncio.gather(*(client.chat("sim:tokens=20,rate=100,fault=reset_done") for _ in range(10)))

    assert {answer.reason for answer in answers} <= {"stop", "upstream_disconnected"}
    assert all(answer.text == text_of(20) for answer in answers if answer.reason == "stop")


async def test_a_hundred_proper_ends_without_done_are_a_hundred_truncations(client: Client) -> None:
    """U4: by last chunk, by Content-Length, by a close: never `done`."""
    faults = ["truncate", "length_cut", "until_close_cut"]

    answers = await asyncio.gather(
        *(client.chat(f"sim:tokens=20,fault={faults[number % 3]},at={1 + number % 19}") for number in range(100))
    )

    assert [answer.reason for answer in answers] == ["upstream_truncated"] * 100
    assert [answer.text for answer in answers] == [text_of(1 + number % 19) for number in range(100)]


async def test_a_body_that_only_the_close_ends_is_whole_if_done_was_said(client: Client) -> None:
    """U4: the other half: what proves an end is `done:true`, not the framing."""
    answer = await client.chat("sim:tokens=20,fault=until_close")

    assert (answer.reason, answer.text) == ("stop", text_of(20))


# --- silence


@pytest.mark.clock
async def test_a_connect_black_hole_is_given_up_after_half_a_second_each_time(chain: Chain) -> None:
    """U6: SYNs are dropped, three times; the headers have left by then."""
    with black_hole() as port:
        proxy = chain.another_proxy(OLLAMA_URL=f"http://127.0.0.1:{port}")
        started = time.monotonic()
        async with Client(proxy.url) as client:
            answer = await client.ask("/api/generate/stream", {"model": "m", "prompt": "hi"})
        took_s = time.monotonic() - started
        proxy.stop()

    assert (answer.status, answer.reason) == (200, "upstream_timeout")
    assert answer.data[-1]["error"]["stage"] == "connect"
    assert [data["attempt"] for data in answer.data if data.get("phase") == "retrying"][-1] == MOST_ATTEMPTS
    least_s = MOST_ATTEMPTS * 0.5 + (FIRST_WAIT_S + 2 * FIRST_WAIT_S) * (1 - JITTER)
    assert least_s - EARLY_S <= took_s < least_s + 2


@contextlib.contextmanager
def black_hole() -> Iterator[int]:
    """Listen with a full backlog and never accept: the kernel drops every further SYN."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        for _ in range(3):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            filling.connect_ex(("127.0.0.1", port))
        yield port


@pytest.mark.parametrize("fault", ["header_stall", "mute"])
@pytest.mark.clock
def test_no_first_token_in_three_seconds_is_a_time_out_that_is_not_repeated(
    fault: str, chain: Chain, slow: Slow
) -> None:
    """U7: closing kills the model's load, so asking again would start it from zero; heartbeats come meanwhile."""
    model = f"sim:tokens=5,fault={fault}"
    answer, took_s = slow.result()[model]

    assert (answer.reason, answer.data[-1]["error"]["stage"]) == ("upstream_timeout", "first_token")
    assert 3.0 - EARLY_S <= took_s < 4.5
    assert answer.wire.count(b": hb\n") >= 5
    assert len(chain.calls(model)) == 1


@pytest.mark.clock
def test_a_stall_after_ten_tokens_ends_after_one_second_with_the_ten(chain: Chain, slow: Slow) -> None:
    """U8: and nobody is asked again, since content was shown."""
    model = "sim:tokens=20,fault=stall,at=10"
    answer, took_s = slow.result()[model]

    assert (answer.reason, answer.data[-1]["error"]["stage"]) == ("upstream_timeout", "idle")
    assert answer.text == text_of(10)
    assert 1.0 - EARLY_S <= took_s < 2.5
    assert len(chain.calls(model)) == 1


@pytest.mark.clock
def test_a_format_makes_the_patience_with_silence_four_times_as_long(slow: Slow) -> None:
    """U8: Ollama holds a whole object or call back; its silence lasts longer."""
    answer, took_s = slow.result()["sim:fault=stall,at=3"]

    assert (answer.reason, answer.data[-1]["error"]["stage"]) == ("upstream_timeout", "idle")
    assert 4.0 - EARLY_S <= took_s < 5.5


@pytest.mark.clock
def test_tools_do_not_lengthen_the_wait_for_the_first_token(slow: Slow) -> None:
    answer, took_s = slow.result()["tooler:fault=stall,at=0"]

    assert (answer.reason, answer.data[-1]["error"]["stage"]) == ("upstream_timeout", "first_token")
    assert 3.0 - EARLY_S <= took_s < 4.5


@pytest.mark.clock
def test_an_answer_that_never_ends_is_cut_at_the_total_limit(chain: Chain, slow: Slow) -> None:
    """U12: never silent for long, never over; asking again would not help."""
    model = "sim:tokens=1000,rate=3"
    answer, took_s = slow.result()[model]

    assert (answer.reason, answer.data[-1]["error"]["stage"]) == ("upstream_timeout", "total")
    assert answer.data[-1]["error"]["retryable"] is False
    assert 10.0 - EARLY_S <= took_s < 11.5
    assert answer.text
    assert text_of(60).startswith(answer.text)
    assert [call["end"] for call in chain.calls(model)] == ["left"]


# --- what a model server says itself, and what it does not stop saying


@pytest.mark.parametrize("words", ["crash", "path", "host", "windows", "memory", "tool", "json", "load", "tensor"])
async def test_an_error_line_keeps_the_text_and_its_words_lose_hosts_and_paths(
    words: str, chain: Chain, client: Client
) -> None:
    """U11: under status 200, after five tokens."""
    model = f"sim:tokens=20,fault=error,at=5,words={words}"
    answer = await client.chat(model)
    message = answer.data[-1]["error"]["message"]

    assert (answer.reason, answer.text) == ("upstream_error", text_of(5))
    assert message
    places = ("/root", "blobs", "sha256-", "127.0.0.1", "10.20.30.40", "36213", "C:\\", "ada", "corp.example", "{")
    assert [place for place in places if place in message] == []
    assert len(chain.calls(model)) == 1


async def test_an_error_line_that_says_nothing_is_none(client: Client) -> None:
    """By its value, not by its presence: what ends there is an answer without its last word."""
    answer = await client.chat("sim:tokens=20,fault=error,at=5,words=empty")

    assert (answer.reason, answer.text) == ("upstream_truncated", text_of(5))


async def test_an_error_line_before_any_content_is_not_repeated(chain: Chain, client: Client) -> None:
    """U11: under status 200 it is the server's last word about this request."""
    model = "sim:tokens=20,fault=error,at=0"
    answer = await client.chat(model)

    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (502, "upstream_error", True)
    assert answer.error["message"] == "an error was encountered while running the model: unexpected EOF"
    assert len(chain.calls(model)) == 1


async def test_a_model_that_goes_on_past_what_it_was_sent_is_stopped(chain: Chain, client: Client) -> None:
    """U13: past 2 * num_predict + 64 lines of content, and its socket is closed at once."""
    model = "sim:fault=endless,rate=2000"
    answer = await client.chat(model, options={"num_predict": 10})
    ended_at = time.monotonic()
    eventually(lambda: chain.calls(model)[0]["end"], "the model server saw its reader leave")
    (call,) = chain.calls(model)

    assert (answer.reason, answer.data[-1]["error"]["retryable"]) == ("upstream_error", False)
    assert answer.text == text_of(2 * 10 + 64)
    assert call["end"] == "left"
    assert call["left_at"] < ended_at + SLACK_S


async def test_a_redirect_is_an_error_and_is_never_followed(chain: Chain, client: Client) -> None:
    """U20: it would send a prompt to whoever the model server names."""
    with socket.socket() as elsewhere:
        elsewhere.bind(("127.0.0.1", 0))
        elsewhere.listen()
        elsewhere.setblocking(False)
        model = f"sim:fault=redirect,to=127.0.0.1:{elsewhere.getsockname()[1]}"
        answer = await client.chat(model)

        assert (answer.status, answer.error["code"], answer.error["retryable"]) == (502, "upstream_error", False)
        assert len(chain.calls(model)) == 1
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


# --- the model server dies: last, for it takes every other answer with it


async def test_a_model_server_killed_in_the_middle_keeps_the_text_and_says_disconnected(
    chain: Chain, client: Client
) -> None:
    """U1: FIN or RST inside the body."""
    body = {"model": "sim:tokens=2000,rate=100", "message": "hi"}
    async with client.open("POST", "/api/chat/stream", body) as reading:
        await reading.until_tokens(20)
        chain.simulator.kill()
        answer = await reading.until_end()
    restart(chain)

    assert answer.reason == "upstream_disconnected"
    assert answer.data[-1]["error"]["retryable"] is True
    assert text_of(2000).startswith(answer.text)
    assert answer.text.startswith(text_of(20))


def restart(chain: Chain) -> None:
    """Bring a killed simulator back where it was."""
    environ = {f"SLUICE_SIMULATOR_{name}": value for name, value in SIMULATOR.items()}
    chain.simulator = Server("services.simulator", {**environ, "SLUICE_SIMULATOR_LISTEN": chain.simulator.address})
    chain.servers.append(chain.simulator)
    eventually(lambda: chain.gateway.get("/readyz")[0] == 200, "the gateway is ready again", within_s=10)
