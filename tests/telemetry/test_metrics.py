import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import BaseTestServer, TestServer
from prometheus_client import Counter
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from services.telemetry.exposition import PagedRegistry
from services.telemetry.histogram import LAG_BUCKETS_S, BisectHistogram
from services.telemetry.metrics import LAG_PERIOD_S, LoopLag, ModelLabels, metrics_app, process_registry


class SlowCollector(Collector):
    """Renders only when it is let, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def collect(self) -> Iterator[Metric]:
        self.asked += 1
        self.entered.set()
        self.go_on.wait(10)
        return iter(())


class Scrapers:
    def __init__(self, session: ClientSession, server: BaseTestServer) -> None:
        self._session = session
        self._server = server

    async def get(self, path: str = "/metrics") -> tuple[int, str, str]:
        async with self._session.get(self._server.make_url(path)) as response:
            return response.status, response.headers["Content-Type"], await response.text()


@pytest.fixture
def registry() -> PagedRegistry:
    return process_registry()


@pytest.fixture
async def scrapers(registry: PagedRegistry) -> AsyncIterator[Scrapers]:
    async with TestServer(metrics_app(registry)) as server, ClientSession() as session:
        yield Scrapers(session, server)


async def test_metrics_are_prometheus_text_with_the_process_s_own_numbers(
    registry: PagedRegistry, scrapers: Scrapers
) -> None:
    Counter("answers", "Answers.", registry=registry).inc()

    status, content_type, text = await scrapers.get()

    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "\nanswers_total 1.0\n" in text
    for family in ("process_resident_memory_bytes", "process_open_fds", "python_gc_collections_total", "python_info"):
        assert f"\n{family}" in text
    assert "_created" not in text


async def test_other_paths_are_not_there(scrapers: Scrapers) -> None:
    assert (await scrapers.get("/"))[0] == 404


async def test_scrapes_that_meet_share_one_rendering_and_the_loop_goes_on_meanwhile(
    registry: PagedRegistry, scrapers: Scrapers
) -> None:
    slow = SlowCollector()
    registry.register(slow)
    slow.entered.clear()
    slow.asked = 0

    async with asyncio.TaskGroup() as group:
        first = group.create_task(scrapers.get())
        await asyncio.to_thread(slow.entered.wait, 10)
        second = group.create_task(scrapers.get())
        await scrapers.get("/")  # the server has seen the second scrape when it answers this
        slow.go_on.set()

    assert slow.asked == 1
    assert first.result() == second.result()


async def test_a_scraper_that_leaves_does_not_take_the_page_from_another(
    registry: PagedRegistry, scrapers: Scrapers
) -> None:
    slow = SlowCollector()
    registry.register(slow)
    slow.entered.clear()

    async with asyncio.TaskGroup() as group:
        leaver = group.create_task(scrapers.get())
        await asyncio.to_thread(slow.entered.wait, 10)
        stayer = group.create_task(scrapers.get())
        await scrapers.get("/")
        leaver.cancel()
        await scrapers.get("/")
        slow.go_on.set()

    assert stayer.result()[0] == 200


async def test_every_scrape_sees_what_was_counted_before_it(registry: PagedRegistry, scrapers: Scrapers) -> None:
    answers = Counter("answers", "Answers.", registry=registry)

    for count in (1, 2):
        answers.inc()
        assert f"answers_total {count}.0" in (await scrapers.get())[2]


def test_a_model_that_no_server_listed_is_other() -> None:
    labels = ModelLabels(str.lower)
    labels.update(["Llama3.2"])

    assert labels.label("LLAMA3.2") == "Llama3.2"
    assert labels.label("made-up-by-a-client") == "_OTHER"
    assert labels.listed_as("made-up-by-a-client") == "_OTHER"


def test_the_twenty_first_model_is_other_in_labels_and_has_its_name_in_the_log() -> None:
    labels = ModelLabels(str.lower)
    names = [f"M{number}" for number in range(30)]

    lost = labels.update(names)

    assert lost == []
    assert labels.labels == tuple(names[:20])
    assert [labels.label(name) for name in names] == [*names[:20], *["_OTHER"] * 10]
    assert [labels.listed_as(name.lower()) for name in names] == names


def test_a_deleted_model_keeps_its_place_until_another_needs_it() -> None:
    labels = ModelLabels(str.lower)
    names = [f"m{number}" for number in range(20)]
    labels.update(names)

    assert labels.update(names[2:]) == []
    assert (labels.label("m0"), labels.listed_as("m0")) == ("m0", "_OTHER")
    assert labels.update([*names[2:], "new"]) == ["m0"]
    assert (labels.label("m0"), labels.label("m1"), labels.label("new")) == ("_OTHER", "m1", "new")


def test_a_deleted_model_that_is_busy_keeps_its_place() -> None:
    labels = ModelLabels(str.lower)
    labels.update([f"m{number}" for number in range(20)])

    assert labels.update(["new"], busy={"m0"}) == ["m1"]
    assert labels.label("m0") == "m0"


def test_what_is_no_more_than_a_change_of_order_or_spelling_moves_no_label() -> None:
    labels = ModelLabels(str.lower)
    names = [f"m{number}" for number in range(25)]
    labels.update(names)

    assert labels.update([name.upper() for name in reversed(names)]) == []
    assert labels.labels == tuple(names[:20])
    assert labels.listed_as("m3") == "M3"


async def test_a_blocked_loop_shows_as_lag_of_at_least_its_length(registry: PagedRegistry) -> None:
    lag_s = BisectHistogram("lag_seconds", "Lag.", LAG_BUCKETS_S, registry=registry).child()
    lag = LoopLag(lag_s)
    lag.start()

    time.sleep(0.3)  # noqa: ASYNC251 blocking the loop is the situation
    await asyncio.sleep(0.001)  # the loop comes round: its timer was due earlier than this one
    lag.stop()

    assert lag_s.total >= 0.19


async def test_a_stopped_lag_measures_no_more(registry: PagedRegistry) -> None:
    lag_s = BisectHistogram("lag_seconds", "Lag.", LAG_BUCKETS_S, registry=registry).child()
    lag = LoopLag(lag_s)
    lag.start()
    lag.stop()

    await asyncio.sleep(1.5 * LAG_PERIOD_S)

    assert sum(lag_s.counts) == 0
