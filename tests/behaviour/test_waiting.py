"""What a reader is shown while nothing comes: status frames, and heartbeats where there is no news.

The answers take seconds; they are asked for all at once, and each test looks at its own.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest

from tests.behaviour.frames import frames, heartbeats
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.refusals import GENERATE, asking
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.reader import Answer, Client

HEARTBEAT_S: Final = 0.3
SILENCE_S: Final = 2.6
COMMIT_S: Final = 1.0
LOADS: Final = scripted(tokens=2, load=1.3, prefill=1.4).name
RETRIED: Final = scripted(tokens=2, status=503, retry_after=1, times=2).name
SILENT: Final = [scripted(tokens=2, prefill=SILENCE_S).name for _ in range(3)]
CALM_S: Final = 2.5  # a machine's stall is shorter, an answer that flows longer
FLOWS: Final = scripted(tokens=120, rate=40).name
QUEUED: Final = scripted(tokens=16, rate=20).name
JOINED: Final = scripted(tokens=2, prefill=2.2).name


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    with (
        running_chain(simulator=simulator, proxy={"PERMITS": "1"}, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


@pytest.fixture(scope="module")
def answers(chain: Chain) -> dict[str, list[Answer]]:
    """The answers of each model, in the order of asking."""
    quiet, calm = chain.another_gateway(HEARTBEAT_S="30"), chain.another_gateway(HEARTBEAT_S=str(CALM_S))
    asked = asyncio.run(ask_all(chain.gateway.url, chain.proxy.url, quiet.url, calm.url))
    quiet.stop()
    calm.stop()
    return asked


async def ask_all(gateway: str, proxy: str, quiet: str, calm: str) -> dict[str, list[Answer]]:
    async with Client(gateway) as people, Client(proxy) as direct, Client(quiet) as patient, Client(calm) as flowing:
        asking_who = [
            *((people, model) for model in (RETRIED, SILENT[0], QUEUED, QUEUED, QUEUED)),
            *((direct, SILENT[1]), (patient, SILENT[2]), (flowing, FLOWS)),
        ]
        joining = asyncio.gather(join(people))
        alone = await asyncio.gather(*(client.ask(GENERATE, asking(model)) for client, model in asking_who))
        loads = await people.ask(GENERATE, asking(LOADS))  # by itself: a model server loads one model at a time
        found = {JOINED: (await joining)[0], LOADS: [loads]}
    for (_, model), answer in zip(asking_who, alone, strict=True):
        found.setdefault(model, []).append(answer)
    return found


async def join(client: Client) -> list[Answer]:
    """Start a stream, follow it by a second connection while it waits, and return what both got."""
    async with client.open("POST", GENERATE, asking(JOINED)) as first:
        joined = await client.get(first.answer.path)
        return [await first.until_end(), joined]


def phases(answer: Answer) -> list[str]:
    return [data["phase"] for data in answer.data if "phase" in data]


def test_a_model_that_loads_and_then_reads_the_prompt_is_shown_so(answers: dict[str, list[Answer]]) -> None:
    """`/api/ps` is looked at once a second: absent is loading, present is prefill."""
    (answer,) = answers[LOADS]

    assert answer.reason == "stop"
    assert phases(answer)[-2:] == ["loading", "prefill"]
    assert set(phases(answer)) <= {"connecting", "loading", "prefill"}
    assert len(phases(answer)) <= 4  # one a second at most, in 2.7 s


def test_a_place_in_line_is_shown_and_moves_up(answers: dict[str, list[Answer]]) -> None:
    shown = [[data["position"] for data in one.data if data.get("phase") == "queued"] for one in answers[QUEUED]]

    assert {answer.reason for answer in answers[QUEUED]} == {"stop"}
    assert sorted(positions[:1] for positions in shown) == [[], [1], [2]]
    assert [2, 1] in shown


def test_a_retry_is_shown_with_its_number(answers: dict[str, list[Answer]]) -> None:
    """Of two within a second the newer is shown."""
    (answer,) = answers[RETRIED]
    retries = [data["attempt"] for data in answer.data if data.get("phase") == "retrying"]

    assert answer.reason == "stop"
    assert retries
    assert retries == sorted(set(retries))
    assert set(retries) <= {2, 3}


def test_who_joins_a_waiting_stream_is_shown_what_it_waits_for(answers: dict[str, list[Answer]]) -> None:
    first, joined = answers[JOINED]

    assert first.reason == joined.reason == "stop"
    assert [event.type for event in joined.events][:2] == ["start", "status"]
    assert phases(joined)[0] in {"connecting", "loading", "prefill"}  # by when it joined


def test_a_status_has_no_id_and_stands_before_the_first_content(answers: dict[str, list[Answer]]) -> None:
    """It is not in the log: who comes back with the last id misses none and gets none twice."""
    for answer in (answer for some in answers.values() for answer in some):
        taken = frames(answer.wire)
        kinds = [frame["event"] for frame in taken]
        waits = [frame for frame in taken if frame["event"] == "status"]

        assert kinds == ["start", *["status"] * len(waits), *kinds[len(waits) + 1 :]]
        assert [frame["id"] for frame in waits] == [None] * len(waits)


def test_silence_is_filled_with_heartbeats_of_one_newline(answers: dict[str, list[Answer]]) -> None:
    """From the moment the headers are out; a blank line behind a comment breaks published clients."""
    for model in SILENT[:2]:
        (answer,) = answers[model]

        assert answer.end is not None
        silent_s = answer.end["timing"]["ttft_ms"] / 1000 - COMMIT_S  # as it was: a busy machine's is longer

        assert answer.reason == "stop"
        assert 2 <= heartbeats(answer.wire) <= silent_s / HEARTBEAT_S + 2


def test_each_hop_makes_its_own_heartbeats(answers: dict[str, list[Answer]]) -> None:
    """The proxy's come every 0.3 s and are no client's business: this gateway's come every 30 s."""
    (answer,) = answers[SILENT[2]]

    assert answer.reason == "stop"
    assert heartbeats(answer.wire) == 0
    assert answer.data[0]["heartbeat_s"] == 30


def test_tokens_that_flow_leave_no_room_for_heartbeats(answers: dict[str, list[Answer]]) -> None:
    (answer,) = answers[FLOWS]

    assert answer.reason == "stop"
    assert heartbeats(answer.wire) == 0
