import asyncio
import gc
from collections.abc import Iterator

import pytest
from prometheus_client.exposition import generate_latest

from services.runtime.version import VERSION
from services.telemetry.families import Families
from services.telemetry.histogram import LAG_BUCKETS_S, BisectHistogram
from services.telemetry.process_metrics import GcPauses, ProcessMetrics
from tests.eventually import soon


@pytest.fixture
def families() -> Families:
    return Families()


@pytest.fixture
def pauses_s(families: Families) -> BisectHistogram:
    return families.histogram("pause_seconds", "pauses", LAG_BUCKETS_S, ("generation",))


@pytest.fixture
def no_collections_of_its_own() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def samples(families: Families) -> dict[str, float]:
    lines = generate_latest(families.registry).decode().split("\n")
    parted = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in parted}


@pytest.mark.usefixtures("no_collections_of_its_own")
@pytest.mark.parametrize("generation", [0, 1, 2])
def test_a_collection_is_timed_under_its_generation(pauses_s: BisectHistogram, generation: int) -> None:
    pauses = GcPauses(pauses_s)
    pauses.start()
    gc.collect(generation)
    pauses.stop()
    timed = [sum(pauses_s.child(str(number)).counts) for number in range(3)]

    assert timed == [int(number == generation) for number in range(3)]
    assert pauses_s.child(str(generation)).total > 0


@pytest.mark.usefixtures("no_collections_of_its_own")
def test_pauses_that_are_not_watched_any_more_leave_nothing_behind(pauses_s: BisectHistogram) -> None:
    before = list(gc.callbacks)
    pauses = GcPauses(pauses_s)
    pauses.stop()
    pauses.start()
    pauses.stop()
    gc.collect()

    assert gc.callbacks == before
    assert sum(pauses_s.child("2").counts) == 0


def test_each_generation_begins_at_zero(families: Families) -> None:
    ProcessMetrics(families)
    seen = samples(families)

    assert [seen[f'python_gc_pause_seconds_count{{generation="{number}"}}'] for number in range(3)] == [0, 0, 0]


async def test_a_watched_loop_shows_its_lag_and_its_tasks(families: Families) -> None:
    process = ProcessMetrics(families)
    process.start()
    await soon(lambda: samples(families)["llm_event_loop_lag_seconds_count"], "a lag is measured")
    process.stop()
    seen = samples(families)

    assert seen["llm_event_loop_lag_seconds_sum"] >= 0
    assert seen["llm_event_loop_tasks"] == len(asyncio.all_tasks())


def test_the_build_and_whether_it_is_ready_are_shown(families: Families) -> None:
    ProcessMetrics(families).ready.set(1)
    seen = samples(families)
    (build,) = [name for name in seen if name.startswith("llm_build_info")]

    assert f'version="{VERSION}"' in build
    assert (seen[build], seen["llm_ready"]) == (1, 1)
