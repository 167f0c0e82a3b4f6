import json
from collections.abc import Sequence
from typing import Any

import pytest

from services.http import health
from services.http.health import Health, Reachability, told_s_ago
from services.runtime.tasks import Tasks
from services.runtime.version import VERSION
from tests.eventually import soon
from tests.http.served import asked, served


class Upstream:
    """A server that answers, or does not."""

    def __init__(self, *, answers: bool, wedged: Sequence[str] = ()) -> None:
        self.answers = answers
        self.asked = 0
        self.told: list[bool] = []
        self.reachability = Reachability(self._probe, self.told.append)
        self.health = Health("proxy", self.reachability, active=lambda: 3, queued=lambda: 2, wedged=lambda: wedged)

    async def _probe(self) -> float | None:
        self.asked += 1
        return 0.0 if self.answers else None

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with served(self.health.add_routes) as address:
            status, _, body = await asked(address, f"GET {path} HTTP/1.1\nHost: localhost\n\n")
            return status, json.loads(body)


async def test_alive_is_alive_whatever_the_upstream_does() -> None:
    """L12."""
    assert await Upstream(answers=False).get("/livez") == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("checked", "answers", "draining", "status", "word"),
    [
        (False, True, False, 503, "upstream not reached"),
        (True, False, False, 503, "upstream not reached"),
        (True, True, False, 200, "ok"),
        (True, True, True, 503, "draining"),
        (True, False, True, 503, "draining"),
    ],
)
async def test_ready_is_who_reaches_its_upstream_and_does_not_drain(
    word: str, status: int, *, checked: bool, answers: bool, draining: bool
) -> None:
    """L3, L12."""
    upstream = Upstream(answers=answers)
    if checked:
        await upstream.reachability.check()
    upstream.health.draining = draining

    got_status, page = await upstream.get("/readyz")

    assert (got_status, page["status"]) == (status, word)
    assert upstream.health.ready is (status == 200)


@pytest.mark.parametrize(
    ("answers", "draining", "status", "word"),
    [(True, False, 200, "ok"), (False, False, 503, "degraded"), (True, True, 503, "draining")],
)
async def test_the_page_for_people_says_what_runs(word: str, status: int, *, answers: bool, draining: bool) -> None:
    upstream = Upstream(answers=answers)
    await upstream.reachability.check()
    upstream.health.draining = draining
    got_status, page = await upstream.get("/health")

    assert (got_status, page["status"]) == (status, word)
    assert (page["service"], page["version"], page["active_streams"], page["queued"]) == ("proxy", VERSION, 3, 2)
    assert page["upstream"]["reachable"] is answers
    assert page["uptime_s"] >= 0
    assert page["upstream"]["checked_s_ago"] >= 0


@pytest.mark.parametrize(
    ("answers", "draining", "status", "word"),
    [(True, False, 200, "degraded"), (False, False, 503, "degraded"), (True, True, 503, "draining")],
)
async def test_an_upstream_with_a_wedged_model_is_degraded_and_still_takes_traffic(
    word: str, status: int, *, answers: bool, draining: bool
) -> None:
    upstream = Upstream(answers=answers, wedged=["llama3.2:latest"])
    await upstream.reachability.check()
    upstream.health.draining = draining
    got_status, page = await upstream.get("/health")

    assert (got_status, page["status"]) == (status, word)
    assert page["upstream"]["wedged_models"] == ["llama3.2:latest"]
    assert (await upstream.get("/readyz"))[0] == status


async def test_before_the_first_look_nobody_says_when_it_was() -> None:
    _, page = await Upstream(answers=True).get("/health")

    assert page["upstream"] == {"reachable": False, "checked_s_ago": None}


async def test_one_lost_answer_is_not_an_outage() -> None:
    upstream = Upstream(answers=True)
    await upstream.reachability.check()
    upstream.answers = False
    await upstream.reachability.check()

    assert upstream.reachability.is_fresh
    assert upstream.told == [True, False]


async def test_an_upstream_that_was_not_reached_for_too_long_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Upstream(answers=True)
    await upstream.reachability.check()
    monkeypatch.setattr(health, "FRESH_S", 0.0)

    assert not upstream.reachability.is_fresh


class Clock:
    """Time as the module under test sees it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(health, "time", clock)
    return clock


async def test_who_asks_a_server_that_asks_another_counts_from_when_the_last_one_answered(clock: Clock) -> None:
    """Two windows of ten seconds, one behind the other, do not add up to twenty."""
    model_server = Upstream(answers=True)

    async def ask_the_proxy() -> float | None:
        async with served(model_server.health.add_routes) as address:
            status, _, body = await asked(address, "GET /readyz HTTP/1.1\nHost: localhost\n\n")
        return told_s_ago(body) if status == 200 else None

    gateways = Reachability(ask_the_proxy, lambda _: None)
    await model_server.reachability.check()
    seen = []
    for clock.now in (1000.0, 1009.9, 1010.0):
        await gateways.check()
        seen.append((model_server.health.ready, gateways.is_fresh))

    assert seen == [(True, True), (True, True), (False, False)]


async def test_a_later_word_about_an_earlier_moment_makes_nobody_look_older(clock: Clock) -> None:
    answers = iter([1.0, 5.0, None])

    async def ask() -> float | None:
        return next(answers)

    reachability = Reachability(ask, lambda _: None)
    ages = []
    for _ in range(3):
        await reachability.check()
        ages.append(reachability.reached_s_ago)
        clock.now += 1

    assert ages == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("body", "ago_s"),
    [
        (b'{"status":"ok","reached_s_ago":1.5}', 1.5),
        (b'{"reached_s_ago":3}', 3.0),
        (b'{"reached_s_ago":-1}', 0.0),
        (b'{"reached_s_ago":"1"}', 0.0),
        (b'{"status":"ok"}', 0.0),
        (b"[]", 0.0),
        (b"ok", 0.0),
    ],
)
def test_a_server_that_does_not_say_when_is_believed_to_have_reached_it_now(body: bytes, ago_s: float) -> None:
    assert told_s_ago(body) == ago_s


async def test_it_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PERIOD_S", 0.001)
    upstream, tasks = Upstream(answers=True), Tasks()
    tasks.spawn(upstream.reachability.keep_checking(), "reachability")
    await soon(lambda: upstream.asked >= 3, "it was asked three times")
    await tasks.close()

    assert set(upstream.told) == {True}
