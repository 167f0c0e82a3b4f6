"""Answers that hold their places and that nobody reads: how often their proxy is asked of them, and what is booked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC
from typing import Any, Final

import pytest
from aiohttp import web

from gateway.guard.key_text import owner_of
from gateway.guard.keyring import Principal
from gateway.guard.keys import Key
from gateway.limits.limiter import Limiter
from gateway.limits.usage import Spent
from gateway.relay import unread as looking
from gateway.relay.proxies import Proxies
from gateway.relay.unread import UnreadAnswers, running_in, spent_in
from services.http.client import HttpResponse, TransportError
from services.runtime.tasks import Tasks
from tests.eventually import soon
from tests.gateway.stage import STREAM_ID, proxies_at
from tests.http.served import served

FIRST, SECOND, THIRD = (f"a.{number}{STREAM_ID[6:]}" for number in range(3))
ELSEWHERE: Final = "b" + FIRST[1:]
OVER: Final = {"status": "finished", "chunks": 40, "end": {"usage": {"input_tokens": 7, "output_tokens": 41}}}


def principal(name: str = "Ada") -> Principal:
    key = Key.model_validate({"id": "a1B2c3D4", "hash": "0" * 64, "name": name})
    return Principal(owner_of(b"p" * 32, name), key)


class PlayedProxy:
    """What a proxy holds: its streams as snapshots, those that run by their number of pieces; and what it was asked."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.over: dict[str, dict[str, Any] | bytes] = {}
        self.asked: list[str] = []
        self.answers = asyncio.Event()
        self.answers.set()

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get("/api/streams", self._list)
        router.add_get("/api/streams/{id}", self._snapshot)
        router.add_delete("/api/streams/{id}", self._stop)

    async def _list(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.path} of {request.headers['Sluice-Owner'][:4]}")
        await self.answers.wait()
        rows = [{"id": one, "status": "streaming", "chunks": chunks} for one, chunks in self.running.items()]
        return web.json_response({"streams": rows})

    async def _stop(self, request: web.Request) -> web.Response:
        stream_id = request.match_info["id"]
        self.asked.append(f"{request.method} {request.path}")
        self.over[stream_id] = {"chunks": self.running.pop(stream_id), "end": {"finish_reason": "cancelled"}}
        return web.Response(status=202)

    async def _snapshot(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        await self.answers.wait()
        match self.over.get(request.match_info["id"]):
            case None:
                return web.json_response({}, status=410)
            case bytes(raw):
                return web.Response(body=raw)
            case held:
                return web.json_response(held)


class House:
    """A gateway's limiter, and who looks after its unread answers at the proxies `a` and `b`."""

    def __init__(self, proxies: Proxies, a: PlayedProxy, b: PlayedProxy) -> None:
        self.proxies, self.limiter = proxies, Limiter(UTC)
        self.revoked: list[Principal] = []
        self.unread = UnreadAnswers(self.limiter, proxies, lambda principal: principal not in self.revoked)
        self.a, self.b = a, b

    async def left(self, stream_id: str, who: Principal | None = None, *, read: int = 1) -> None:
        """Somebody left an answer that may go on, after so many pieces."""
        place = await self.limiter.admit(who or principal(), 100)
        self.limiter.began(place, stream_id, "tiny", joined=False)
        self.limiter.left(place, Spent(0, read), may_go_on=True)

    @property
    def held(self) -> set[str]:
        return {one.stream_id for one in self.limiter.unread()}

    @property
    def booked(self) -> list[tuple[int, int]]:
        """The tokens of prompts and of answers, by row."""
        return [(used.input_tokens, used.output_tokens) for used in self.limiter.usage.rows.values()]


@asynccontextmanager
async def looking_after() -> AsyncIterator[House]:
    a, b = PlayedProxy(), PlayedProxy()
    async with served(a.add_routes) as at_a, served(b.add_routes) as at_b:
        proxies = proxies_at(a=at_a.port, b=at_b.port)
        try:
            yield House(proxies, a, b)
        finally:
            a.answers.set()
            await proxies.close()


async def look(house: House) -> None:
    for proxy in house.proxies:
        await house.unread.look_at(proxy)


async def test_an_owner_s_answers_that_run_are_asked_after_in_one_list_and_no_text_is_asked_for() -> None:
    async with looking_after() as house:
        for stream_id in (FIRST, SECOND):
            await house.left(stream_id)
        await house.left(THIRD, principal("Bob"))
        house.a.running = {FIRST: 5, SECOND: 6, THIRD: 7}
        await look(house)

        assert house.held == {FIRST, SECOND, THIRD}
        assert sorted(house.a.asked) == sorted(f"/api/streams of {principal(one).owner[:4]}" for one in ("Ada", "Bob"))
        assert house.b.asked == []


async def test_nobody_is_asked_where_nothing_is_unread() -> None:
    async with looking_after() as house:
        await look(house)

        assert house.a.asked == house.b.asked == []


async def test_an_answer_that_is_over_is_booked_once_by_the_model_server_s_count() -> None:
    async with looking_after() as house:
        await house.left(FIRST)
        house.a.over = {FIRST: OVER}
        for _ in range(2):
            await look(house)

        assert (house.held, house.booked) == (set(), [(7, 41)])
        assert house.a.asked == [f"/api/streams of {principal().owner[:4]}", f"/api/streams/{FIRST}"]


async def test_an_answer_without_a_count_is_booked_by_its_pieces_and_one_that_is_not_held_by_what_was_seen() -> None:
    async with looking_after() as house:
        await house.left(FIRST, read=3)
        house.a.running = {FIRST: 12}
        await look(house)
        house.a.running = {}
        await look(house)
        gone = house.booked
        await house.left(SECOND)
        house.a.over = {SECOND: {"chunks": 8, "end": {"error": {"code": "cancelled"}}}}
        await look(house)

        assert (house.held, gone, house.booked) == (set(), [(0, 12)], [(0, 20)])


@pytest.mark.parametrize("raw", [b"not JSON", b"[]", b'{"text": 1}'])
async def test_what_is_no_snapshot_leaves_an_answer_its_place_until_the_next_look(raw: bytes) -> None:
    async with looking_after() as house:
        await house.left(FIRST)
        house.a.over = {FIRST: raw}
        await look(house)
        before = house.held
        house.a.over = {FIRST: OVER}
        await look(house)

        assert (before, house.held, house.booked) == ({FIRST}, set(), [(7, 41)])


async def test_a_snapshot_that_is_too_large_is_not_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.relay.upstream.READ_BYTES", 100)
    async with looking_after() as house:
        await house.left(FIRST, read=3)
        house.a.over = {FIRST: {**OVER, "text": "a" * 1000}}
        await look(house)

        assert (house.held, house.booked) == (set(), [(0, 3)])


async def test_a_proxy_that_does_not_answer_holds_up_no_look_at_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LOOK_S", 0.01)
    async with looking_after() as house:
        for stream_id in (FIRST, ELSEWHERE):
            await house.left(stream_id)
        house.a.answers.clear()
        house.b.over = {ELSEWHERE: OVER}
        tasks = Tasks()
        tasks.spawn(house.unread.keep(), "keeps")
        await soon(lambda: house.held == {FIRST}, "the other's is booked")
        await soon(lambda: bool(house.a.asked), "the silent one is asked")
        await tasks.close()

        assert house.booked == [(7, 41)]


async def test_a_look_at_a_proxy_that_is_away_ends_and_its_answers_keep_their_places() -> None:
    house = House(proxies_at(_=1), PlayedProxy(), PlayedProxy())
    await house.left(FIRST)
    with pytest.raises(TransportError):
        await look(house)
    held = house.held
    await house.unread.stopped(principal(), FIRST)

    assert (held, house.held, house.booked) == ({FIRST}, set(), [(0, 1)])


async def test_an_answer_that_is_stopped_by_name_is_booked_at_once_whichever_key_of_its_owner_s_stops_it() -> None:
    async with looking_after() as house:
        await house.left(FIRST)
        house.a.over = {FIRST: OVER}
        await house.unread.stopped(principal("Bob"), FIRST)
        others = house.held
        await house.unread.stopped(replace(principal(), address="192.0.2.1"), FIRST)

        assert (others, house.held, house.booked) == ({FIRST}, set(), [(7, 41)])
        assert house.a.asked == [f"/api/streams/{FIRST}"]


async def test_whose_stop_is_given_up_while_its_proxy_is_silent_leaves_the_answer_to_the_next_look() -> None:
    async with looking_after() as house:
        await house.left(FIRST)
        house.a.answers.clear()
        tasks = Tasks()
        tasks.spawn(house.unread.stopped(principal(), FIRST), "stops")
        await soon(lambda: bool(house.a.asked), "it is asked")
        await tasks.close()
        held = house.held
        house.a.answers.set()
        house.a.over = {FIRST: OVER}
        await look(house)

        assert (held, house.held, house.booked) == ({FIRST}, set(), [(7, 41)])


async def test_an_answer_whose_key_is_revoked_is_stopped_and_booked_and_the_others_go_on() -> None:
    async with looking_after() as house:
        await house.left(FIRST)
        await house.left(SECOND, principal("Bob"))
        house.a.running = {FIRST: 5, SECOND: 6}
        house.revoked = [principal()]
        await look(house)

        assert (house.held, house.booked) == ({SECOND}, [(0, 5)])
        assert [one for one in house.a.asked if "DELETE" in one] == [f"DELETE /api/streams/{FIRST}"]


async def test_an_answer_of_a_proxy_that_is_none_of_these_any_more_is_asked_of_nobody() -> None:
    async with looking_after() as house:
        await house.left("c" + FIRST[1:])
        await look(house)
        await house.unread.stopped(principal(), "c" + FIRST[1:])

        assert house.a.asked == house.b.asked == []


@pytest.mark.parametrize(
    ("body", "running"),
    [
        (b'{"streams":[]}', {}),
        (b'{"streams":[{"id":"x","status":"queued","chunks":0}]}', {"x": Spent(0, 0)}),
        (b'{"streams":[{"id":"x","status":"finished","chunks":3},{"id":"y","status":"failed","chunks":3}]}', {}),
        (b'{"streams":[{"id":"x"}]}', None),
        (b'{"streams":1}', None),
        (b"[]", None),
        (b"", None),
    ],
)
def test_a_list_says_which_run_and_how_far_they_are(body: bytes, running: dict[str, Spent] | None) -> None:
    assert running_in(HttpResponse(200, {}, body)) == running


def test_a_refusal_is_neither_a_list_nor_a_snapshot() -> None:
    refused = HttpResponse(503, {}, b'{"streams":[],"chunks":1}')

    assert (running_in(refused), spent_in(refused)) == (None, None)
