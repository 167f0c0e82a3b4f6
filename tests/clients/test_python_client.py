"""The official Python client at both servers, against itself at the model server, by threads and by asyncio."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from typing import Any, Final

import httpx
import ollama
import pytest

from tests.chain import Chain
from tests.clients.calls import AT_THE_GATEWAY, BREAKS, CALLS, CLOCK, HELLO, Call
from tests.clients.outcome import Outcome, Row, differences
from tests.eventually import eventually

SETTINGS: Final[dict[str, Any]] = {"timeout": 10.0, "verify": False}
"""To read the certificates, which plain HTTP needs none of, takes longer than most calls."""


def asked(host: str, call: Call) -> Outcome:
    """Make a call by the blocking client."""
    outcome = Outcome()
    with ollama.Client(host, **SETTINGS) as client:
        try:
            answer = getattr(client, call.method)(**call.arguments)
            for part in answer if call.arguments.get("stream") else [answer]:
                outcome.parts.append(part.model_dump(mode="json", exclude_unset=True))
        except (ollama.ResponseError, httpx.HTTPError, ValueError) as exc:
            outcome.error = told(exc)
    return outcome


def asked_by_asyncio(host: str, call: Call) -> Outcome:
    """Make a call by the asyncio client."""

    async def ask() -> Outcome:
        outcome = Outcome()
        async with ollama.AsyncClient(host, **SETTINGS) as client:
            try:
                answer = await getattr(client, call.method)(**call.arguments)
                if call.arguments.get("stream"):
                    async for part in answer:
                        outcome.parts.append(part.model_dump(mode="json", exclude_unset=True))
                else:
                    outcome.parts.append(answer.model_dump(mode="json", exclude_unset=True))
            except (ollama.ResponseError, httpx.HTTPError, ValueError) as exc:
                outcome.error = told(exc)
        return outcome

    return asyncio.run(ask())


def told(exc: Exception) -> dict[str, Any]:
    """Return what the caller of a client is told by an exception."""
    if isinstance(exc, ollama.ResponseError):
        return {"type": type(exc).__name__, "text": exc.error, "status": exc.status_code}
    return {"type": type(exc).__name__, "text": str(exc)}


CLIENTS: Final[dict[str, Callable[[str, Call], Outcome]]] = {"Python": asked, "Python asyncio": asked_by_asyncio}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["proxy", "gateway"])
def ours_at(request: pytest.FixtureRequest, chain: Chain) -> tuple[str, str]:
    """A server of ours, and the base URL that its clients are given."""
    return str(request.param), {"proxy": chain.proxy.url, "gateway": f"{chain.gateway.url}/ollama"}[request.param]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_a_call_gives_through_us_what_it_gives_directly(
    client: str, call: Call, ours_at: tuple[str, str], chain: Chain, rows: list[Row]
) -> None:
    server, url = ours_at
    direct, ours = (CLIENTS[client](host, call) for host in (chain.simulator.url, url))
    differ = differences(call, direct, ours)
    rows.append(Row(client, f"{call.name}, {server}", str(direct), str(ours), ", ".join(sorted(differ)) or "equal"))

    expected = call.differs | (AT_THE_GATEWAY.get(call.name, frozenset()) if server == "gateway" else frozenset())
    assert differ == expected, (direct.said, ours.said)


@pytest.mark.parametrize("how", BREAKS)
def test_an_answer_that_breaks_off_raises_and_keeps_its_parts(
    client: str, how: str, ours_at: tuple[str, str], chain: Chain, rows: list[Row]
) -> None:
    """Directly the client takes the first kind for a whole answer: it never looks for `done`."""
    server, url = ours_at
    call = Call(how, "chat", {"model": BREAKS[how], "messages": HELLO, "stream": True})
    direct, ours = (CLIENTS[client](host, call) for host in (chain.simulator.url, url))
    rows.append(Row(client, f"chat that {how}, {server}", str(direct), str(ours), "an error line, whatever broke"))

    assert ours.error is not None
    assert (ours.error["type"], ours.error["status"]) == ("ResponseError", -1)
    assert ours.said["text"] == direct.said["text"] != ""


def test_line_ends_of_unicode_do_not_break_an_answer(
    client: str, ours_at: tuple[str, str], chain: Chain, rows: list[Row]
) -> None:
    """The client splits lines at U+0085, which Ollama writes as it is: directly it breaks."""
    server, url = ours_at
    call = Call("", "generate", {"model": "generate_odd_characters", "prompt": "hello", "stream": True})
    direct, ours = (CLIENTS[client](host, call) for host in (chain.simulator.url, url))
    name = f"recording generate_odd_characters, {server}"
    rows.append(Row(client, name, str(direct), str(ours), "whole through us alone"))

    assert ours.error is None
    assert ours.parts[-1]["done"]
    assert {"\x85", "\u2028", "\u2029"} & set(ours.said["text"])
    assert ours.said["text"].startswith(direct.said["text"])


def test_what_a_client_asks_reaches_the_model_as_it_does_directly(chain: Chain) -> None:
    """Images as bytes, tools as functions, a format as a schema: all but what the proxy drops by PROTOCOL.md."""
    arguments = {
        "model": "tooler:seed=4711",
        "messages": [{"role": "user", "content": "ёж 🦔", "images": [b"\x89PNG\r\n\x1a\n and more"]}],
        "tools": [CLOCK, clock],
        "format": {"type": "object"},
        "think": False,
        "options": ollama.Options(temperature=0.5, num_ctx=4096, stop=["x"]),
        "keep_alive": 300,
        "stream": True,
    }
    for server in (chain.simulator, chain.proxy):
        with ollama.Client(server.url, **SETTINGS) as client, pytest.raises(ollama.ResponseError):
            list(client.chat(**arguments))  # no model here takes images
    direct, ours = (call["body"] for call in chain.calls("tooler:seed=4711"))
    del direct["keep_alive"], direct["options"]["num_ctx"]

    assert ours == direct


def clock(tz: str) -> str:
    """Tell the time.

    Args:
        tz: where
    """
    return tz


def test_a_client_that_stops_reading_a_stream_stops_the_model(ours_at: tuple[str, str], chain: Chain) -> None:
    server, url = ours_at
    model = f"sim:tokens=5000,rate=100,seed={1 if server == 'proxy' else 2}"
    with ollama.Client(url, **SETTINGS) as client:
        parts: Iterator[ollama.ChatResponse] = client.chat(model, HELLO, stream=True)
        next(parts)
        parts.close()  # type: ignore[attr-defined]  # the client declares an iterator, and it is a generator
    eventually(lambda: chain.calls(model)[0]["left_at"], "the model server saw it")

    assert chain.calls(model)[0]["tokens"] < 500


def test_a_client_is_told_when_the_gateway_drains(chain: Chain) -> None:
    """It cannot come back for the rest: a mere break would be an exception of its HTTP library."""
    gateway = chain.another_gateway(DRAIN_S="0.5")
    model, parts = "sim:tokens=5000,rate=50,seed=3", []
    with ollama.Client(f"{gateway.url}/ollama", **SETTINGS) as client:
        answer = client.chat(model, HELLO, stream=True)
        parts.append(next(answer))
        gateway.signal(signal.SIGTERM)
        with pytest.raises(ollama.ResponseError, match="This server is shutting down"):
            parts.extend(answer)
    eventually(lambda: chain.calls(model)[0]["left_at"], what="the model server saw it")

    assert gateway.wait() == 0
    assert [line["reason"] for line in gateway.events("stream.finished")] == ["shutting_down"]
    assert len(parts) > 5
