"""Words that must never leave the way of their answer: planted, then looked for (S11, T19 and P8 of docs/faults.md).

Each test sends prompts with a canary in every field that can hold one, on every path through success and failure, at
level debug; then the logs of both servers, their metrics and every error they told are searched.
"""

import asyncio
import json
from functools import partial
from typing import Any, Final

import pytest

from services.simulator.prose import prose
from services.simulator.speech import thoughts
from tests.behaviour.exhaustion import ask_without_memory
from tests.behaviour.gate import is_idle
from tests.behaviour.refusals import GENERATE, asking
from tests.chain import Chain, Server
from tests.eventually import eventually
from tests.reader import Answer, Client, raw_exchange

PROMPT, SYSTEM, THOUGHT, ARGUMENT, RESULT, SCHEMA, STOP, SUFFIX, DESCRIPTION, BROKEN = CANARIES = [
    f"canary{number}q7zx{name}"
    for number, name in enumerate(
        ["prompt", "system", "thought", "argument", "result", "schema", "stop", "suffix", "description", "broken"]
    )
]
SEED: Final = 4711
TOKENS: Final = 120
LONG_ENOUGH: Final = 9  # characters of a said word that no log line has by accident
SAID: Final = [
    word.strip()
    for word in (*prose(TOKENS, SEED), *thoughts(TOKENS, SEED))
    if len(word.strip()) >= LONG_ENOUGH and word.strip().isalpha()
]
WAYS: Final = (
    *("", "fault=error,at=60", "fault=reset,at=60", "fault=truncate,at=60", "fault=malformed,at=60,count=8"),
    *("fault=malformed,at=60", "fault=bad_chunk,at=60", "fault=stall,at=60", "fault=wrong_type,at=60,count=6"),
    *("fault=error,at=0", "fault=garbage", "fault=mute", "status=500", "status=400", "status=404", "fault=redirect"),
    *("fault=refuse", "fault=huge_line,at=60", "fault=after_done", "fault=endless"),
)


def model(way: str) -> str:
    """A model that thinks, says known prose, and comes to its end this way."""
    return f"sim:calls=1,think={TOKENS},tokens={TOKENS},seed={SEED}" + (f",{way}" if way else "")


def conversation(way: str) -> dict[str, Any]:
    """A chat with a canary wherever one fits."""
    call = {"id": "1", "function": {"name": "clock", "arguments": {"zone": ARGUMENT}}}
    parameters = {"type": "object", "properties": {"zone": {"type": "string", "description": SCHEMA}}}
    clock = {"type": "function", "function": {"name": "clock", "description": DESCRIPTION, "parameters": parameters}}
    return {
        "model": model(way),
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": PROMPT},
            {"role": "assistant", "content": "", "thinking": THOUGHT, "tool_calls": [call]},
            {"role": "tool", "content": RESULT, "tool_name": "clock"},
        ],
        "tools": [clock],
        "options": {"stop": [STOP], "num_predict": 300},
    }


def prompt(way: str) -> dict[str, Any]:
    """A generation with a canary wherever one fits."""
    suffix = {"suffix": SUFFIX} if way == "status=400" else {}  # which no simulated model can do
    options = {"stop": [STOP], "num_predict": 300}
    return {"model": model(way), "prompt": PROMPT, "system": SYSTEM, "options": options, **suffix}


def told(server: Server) -> str:
    """Everything that a server has let out but its answers."""
    return b"".join(server.raw).decode(errors="replace") + json.dumps(server.metrics(), ensure_ascii=False)


async def everything_is_told(chain: Chain) -> None:
    """Wait until both servers are idle and have written the line of each end."""
    for server in (chain.proxy, chain.gateway):
        await asyncio.to_thread(eventually, partial(is_idle, server), what="every line is written")


def errors_of(answers: list[Answer]) -> str:
    """What clients were told of failures."""
    bodies = [answer.body.decode() for answer in answers if answer.status != 200]
    return "".join(bodies + [event.data for answer in answers for event in answer.events if event.type == "error"])


def found_in(text: str) -> list[str]:
    return [word for word in (*CANARIES, *SAID) if word in text]


async def test_no_word_of_prompt_or_answer_reaches_logs_metrics_or_errors(chain: Chain, client: Client) -> None:
    """S11: whatever became of the answer, at level debug, with the proxy's own clients among the askers."""
    async with Client(chain.proxy.url) as direct:
        answers = await asyncio.gather(
            *(client.ask("/api/chat/stream", conversation(way)) for way in WAYS),
            *(client.ask(GENERATE, prompt(way)) for way in WAYS),
            *(direct.ask(GENERATE, prompt(way)) for way in WAYS),
        )
    await everything_is_told(chain)
    whole = answers[len(WAYS)]

    assert len(SAID) > 10
    assert (whole.text, whole.thinking) == ("".join(prose(TOKENS, SEED)), "".join(thoughts(TOKENS, SEED)))
    assert len({reason(answer) for answer in answers}) >= 7
    assert found_in(told(chain.proxy)) == []
    assert found_in(told(chain.gateway)) == []
    assert found_in(errors_of(answers)) == []


def reason(answer: Answer) -> str:
    return answer.reason if answer.status == 200 else str(answer.error["code"])


async def test_readers_that_leave_or_cancel_leave_no_word_behind(chain: Chain, client: Client) -> None:
    """S11: the paths of cancellation."""
    paced = {**prompt(""), "model": model("rate=200")}
    async with client.open("POST", GENERATE, paced) as left, client.open("POST", GENERATE, paced) as cancelled:
        await asyncio.gather(left.until_tokens(10), cancelled.until_tokens(10))
        left.leave()
        await client.ask(f"{cancelled.answer.path}/cancel")
        answer = await cancelled.until_end()
    await everything_is_told(chain)

    assert answer.reason == "cancelled"
    assert found_in(told(chain.proxy)) == []
    assert found_in(told(chain.gateway)) == []


BAD: Final[dict[str, Any]] = {
    "a wrong type": {"model": "sim", "prompt": [PROMPT]},
    "a wrong option": {"model": "sim", "prompt": PROMPT, "options": {"temperature": PROMPT}},
    "a wrong role": {"model": "sim", "messages": [{"role": PROMPT, "content": PROMPT}]},
    "an image that is none": {"model": "sim", "prompt": PROMPT, "images": [PROMPT]},
    "too deep": {"model": "sim", "prompt": PROMPT, "format": json.loads('{"a":' * 40 + f'"{SCHEMA}"' + "}" * 40)},
    "no object": [PROMPT],
    "a bad choice": {"model": "sim", "prompt": PROMPT, "think": THOUGHT, "on_disconnect": PROMPT},
    "a bad conversation": {"model": "sim", "prompt": PROMPT, "conversation_id": f"{PROMPT} {PROMPT}"},
}


@pytest.mark.parametrize("side", ["gateway", "proxy"])
@pytest.mark.parametrize("what", BAD)
async def test_a_refused_body_is_not_repeated_to_anybody(what: str, side: str, chain: Chain) -> None:
    """S11: errors name the field, never what stood in it."""
    server: Server = getattr(chain, side)
    async with Client(server.url) as client:
        answers = [await client.ask(path, BAD[what]) for path in (GENERATE, "/api/chat/stream")]

    await everything_is_told(chain)

    assert 400 in {answer.status for answer in answers}
    assert found_in(errors_of(answers)) == []
    assert found_in(told(server)) == []


@pytest.mark.parametrize("side", ["gateway", "proxy"])
async def test_a_traceback_and_a_broken_frame_show_no_word(side: str, chain: Chain) -> None:
    """S11: what nobody foresaw is logged with its traceback, and a parser complains of what it read."""
    server = chain.another_gateway(BODY_BYTES="33000000") if side == "gateway" else chain.another_proxy()
    body = json.dumps(asking("sim", system=SYSTEM * 1_500_000)).encode()
    answer = await ask_without_memory(server, body)
    head = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nX-Bad : {BROKEN}\r\n\r\n"
    await raw_exchange("127.0.0.1", server.port, head.encode())
    chunk = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{BROKEN}\r\n"
    await raw_exchange("127.0.0.1", server.port, chunk.encode())
    await asyncio.to_thread(eventually, lambda: b"MemoryError" in b"".join(server.raw), what="the traceback")
    leaked = found_in(told(server)) + found_in(answer.body.decode())
    server.stop()

    assert answer.status == 500
    assert leaked == []
