"""The waiting line is fair by owner: one person with forty requests, and another with one (O3 of docs/faults.md)."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Final

import pytest

from services.wire.events import Code
from tests.behaviour.connections import calls_of, sample
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.refusals import failed
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.reader import Client, Reading

FORTY: Final = 40
GREEDY: Final = {"X-Forwarded-For": "203.0.113.1"}
MODEST: Final = {"X-Forwarded-For": "203.0.113.2"}


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    """A line that the forty fill but for the one whose answer runs; where nobody has a key, people are addresses."""
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64"},
            proxy={"PERMITS": "1", "QUEUE_LENGTH": f"{FORTY - 1}", "QUEUE_TIMEOUT_S": "60", "TOTAL_TIMEOUT_S": "60"},
            gateway={"TRUSTED_EDGES": "127.0.0.1", "STREAMS_PER_ADDRESS": "0"},
        ) as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


async def test_who_sends_forty_requests_delays_another_by_one_answer_and_gives_a_place_up(chain: Chain) -> None:
    model = scripted(tokens=3000, rate=50).name
    async with Client(chain.gateway.url) as client, AsyncExitStack() as stack:

        async def opened(who: dict[str, str], message: str) -> Reading:
            asked = {"model": model, "message": message}
            return await stack.enter_async_context(client.open("POST", "/api/chat/stream", asked, who))

        greedy = [await opened(GREEDY, f"{number} of forty") for number in range(FORTY)]
        before = await greedy[0].until_tokens(1)
        modest = await opened(MODEST, "one")
        displaced = await greedy[-1].until_end()
        waiting = sample(chain.proxy, "llm_admission_queue_length")
        await client.ask(f"{before.path}/cancel", {}, GREEDY)
        served = await modest.until_tokens(1)
        asked = [call["body"]["messages"][0]["content"] for call in calls_of(chain, model)]
        for reading in (modest, *greedy):
            reading.leave()

    assert failed(displaced, Code.OVERLOADED, retryable=True)
    assert waiting == FORTY - 1
    assert [data["position"] for data in served.data if data.get("phase") == "queued"] == [1]
    assert asked == ["0 of forty", "one"]
