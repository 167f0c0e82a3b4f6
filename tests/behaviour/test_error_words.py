"""S17: whatever fails, its answer names no host, path, version or stack, and is short and of its shape."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from services.simulator.faults import ERROR_WORDS
from services.wire.events import RULES, Code
from tests.behaviour.gate import common_gate
from tests.behaviour.ollama_client import lines_of
from tests.behaviour.refusals import MAX_BYTES, SHAPE, UNFIT
from tests.chain import Chain, running_chain
from tests.reader import Answer, Client

BEFORE: Final = [
    *(f"fault=error,at=0,words={words}" for words in ERROR_WORDS),
    *("status=400", "status=418", "status=429", "status=500", "status=502", "status=503"),
    *("fault=refuse", "fault=garbage", "fault=redirect,to=10.1.2.3:11434", "fault=truncate,at=0", "fault=queue_full"),
    *("fault=reset_at_once,at=0", "nothing=5", "fault=unheard"),
]
AFTER: Final = [
    *(f"fault=error,at=3,words={words}" for words in ERROR_WORDS),
    *("fault=reset,at=3", "fault=cut,at=3", "fault=truncate,at=3", "fault=malformed,at=3,count=8"),
]
ROUTES: Final = ["gateway /api/chat/stream", "gateway /api/chat", "proxy /api/chat/stream", "proxy /api/chat"]
FAILURES: Final = 60


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    with running_chain(simulator=simulator) as chain, common_gate(chain):
        yield chain


def in_ollamas_shape(route: str) -> bool:
    return route == "proxy /api/chat"


async def asked(chain: Chain, route: str, faults: list[str]) -> list[Answer]:
    side, path = route.split()
    async with Client(getattr(chain, side).url) as client:
        said = {"messages": [{"role": "user", "content": "hi"}]}
        models = [f"sim:tokens=9,{fault}" for fault in faults]
        return await asyncio.gather(*(client.ask(path, {"model": model, **said}) for model in models))


@pytest.mark.parametrize("route", ROUTES)
async def test_a_failure_before_the_first_words_says_nothing_of_the_house(route: str, chain: Chain) -> None:
    answers = await asked(chain, route, BEFORE)

    assert len(BEFORE) * len(ROUTES) >= FAILURES
    for fault, answer in zip(BEFORE, answers, strict=True):
        assert len(answer.body) <= MAX_BYTES, fault
        message, code = told(route, answer)
        assert answer.status == (200 if answer.events else RULES[Code(code)].status), fault
        assert message, fault
        assert not UNFIT.search(message), fault
        assert "Server" not in answer.headers


def told(route: str, answer: Answer) -> tuple[str, str]:
    """Return message and code of a refusal, having looked at its shape.

    On a slow machine three attempts outlast the second that the headers wait, and it is the stream's last word.
    """
    if answer.events:
        error = answer.data[-1]["error"]
        return error["message"], error["code"]
    assert answer.headers["Content-Type"].startswith("application/json")
    body: dict[str, Any] = json.loads(answer.body)
    assert set(body) == {"error"}
    if in_ollamas_shape(route):
        return body["error"], answer.headers["Sluice-Error-Code"]
    assert set(body["error"]) - {"stage"} == SHAPE
    return body["error"]["message"], body["error"]["code"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "gateway /api/chat"])
async def test_a_failure_behind_the_first_words_says_nothing_of_the_house(route: str, chain: Chain) -> None:
    for fault, answer in zip(AFTER, await asked(chain, route, AFTER), strict=True):
        message = lines_of(answer)[-1]["error"] if in_ollamas_shape(route) else answer.data[-1]["error"]["message"]

        assert (answer.status, answer.ended_cleanly) == (200, True), fault
        assert message, fault
        assert not UNFIT.search(message), fault
        assert len(message.encode()) <= MAX_BYTES, fault
