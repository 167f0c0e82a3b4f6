"""`sluice` over a connection that breaks: the text is the model's, to the letter. A TCP relay cuts it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.behaviour.tcp_relay import TcpRelay, relay_to
from tests.chain import ROOT, Chain
from tests.eventually import soon
from tests.termchat.person import environment
from tests.termchat.piped import sluice


@pytest.fixture
async def relay(chain: Chain) -> AsyncIterator[TcpRelay]:
    async with relay_to(chain.gateway.port) as relay:
        yield relay


async def started(*arguments: str, relay: TcpRelay) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.termchat", *arguments),
        cwd=ROOT,
        env=environment(SLUICE_TERM_URL=relay.url),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def cut_as_it_comes(process: asyncio.subprocess.Process, relay: TcpRelay, at: Sequence[int]) -> bytes:
    """Read the answer, and cut the line whenever so many bytes have come; return all of it."""
    assert process.stdout is not None
    out = b""
    for count in at:
        while len(out) < count:
            piece = await process.stdout.read(count - len(out))
            assert piece, "it ended early"
            out += piece
        await soon(lambda: relay.carries, what="the answer was taken up")
        relay.cut(reset=len(out) % 2 == 0)
    return out + await process.stdout.read()


async def test_twenty_cuts_in_an_answer_of_five_hundred_tokens_change_nothing(chain: Chain, relay: TcpRelay) -> None:
    whole = sluice("hi", "--model", "sim:tokens=500,seed=20", url=chain.gateway.url).out.encode()
    process = await started("hi", "--model", "sim:tokens=500,seed=20,rate=250", relay=relay)

    cuts = [len(whole) * number // 22 for number in range(1, 21)]
    got = await cut_as_it_comes(process, relay, cuts)

    assert got == whole
    assert await process.wait() == 0
    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert len(chain.calls("sim:tokens=500,seed=20,rate=250")) == 1


async def test_a_question_whose_connection_breaks_before_the_headers_is_asked_again(
    chain: Chain, relay: TcpRelay
) -> None:
    model = "sim:tokens=5,prefill=0.7,seed=21"
    whole = sluice("hi", "--model", "sim:tokens=5,seed=21", url=chain.gateway.url).out
    process = await started("hi", "--model", model, relay=relay)
    await soon(lambda: chain.calls(model), what="the model was asked")

    relay.cut()

    assert process.stdout is not None
    assert (await process.stdout.read()).decode() == whole
    assert await process.wait() == 0


async def test_a_connection_that_falls_silent_is_given_up_after_three_heartbeats(chain: Chain, relay: TcpRelay) -> None:
    whole = sluice("hi", "--model", "sim:tokens=100,seed=22", url=chain.gateway.url).out
    process = await started("hi", "--model", "sim:tokens=100,rate=50,seed=22", relay=relay)
    assert process.stdout is not None
    first = await process.stdout.readexactly(20)

    relay.fall_silent()

    rest = await process.stdout.read()
    assert (first + rest).decode() == whole
    assert await process.wait() == 0


async def test_a_gateway_that_does_not_come_back_leaves_what_was_said_and_is_1(relay: TcpRelay) -> None:
    process = await started("hi", "--model", "sim:tokens=2000,rate=50,seed=23", relay=relay)
    assert process.stdout is not None
    await process.stdout.readexactly(20)

    relay.refuse()
    relay.cut()

    assert await process.wait() == 1
    assert process.stderr is not None
    assert b"[interrupted]" in await process.stderr.read()
