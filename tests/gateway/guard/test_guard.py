"""The guard beside a router and a keyring; what it does to requests is behaviour/test_keys."""

from collections import defaultdict
from datetime import UTC, datetime
from ipaddress import ip_network
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from gateway.guard.guard import PRINCIPAL, Guard
from gateway.guard.key_text import hash_of, owner_of
from gateway.guard.keyring import ANYBODY, Keyring, Principal
from gateway.guard.keys import Key
from gateway.guard.scopes import Scope

PEPPER = b"p" * 32
ADA = Key(id="a1B2c3D4", hash=hash_of(PEPPER, "s" * 43), name="Ada")
LET_IN = Principal(owner_of(PEPPER, "Ada"), ADA)


async def nothing(_request: web.Request) -> web.Response:
    return web.Response()


def a_router(*paths: str) -> web.UrlDispatcher:
    router = web.Application().router
    for path in paths:
        router.add_get(path, nothing)
    return router


def test_a_route_of_which_nobody_said_who_may_use_it_keeps_the_process_from_starting() -> None:
    """P7: what was forgotten is closed, and loudly."""
    guard = Guard(None, {"/known": Scope.CHAT}, ())

    guard.demand_access_of_all(a_router("/known"))
    with pytest.raises(LookupError, match=r"who may use /new, /streams/\{id\}"):
        guard.demand_access_of_all(a_router("/known", "/streams/{id}", "/new"))


def test_who_was_let_in_stays_until_the_ring_has_no_such_key() -> None:
    guard = Guard(Keyring({ADA.id: ADA}, PEPPER), {}, ())
    before = guard.still_lets_in(LET_IN)
    guard.ring = Keyring({}, PEPPER)

    assert (before, guard.still_lets_in(LET_IN)) == (True, False)


def test_who_was_let_in_stays_no_longer_than_its_key_lives() -> None:
    over = Key(**{**ADA.model_dump(), "not_after": datetime(2020, 1, 1, tzinfo=UTC)})

    assert not Guard(Keyring({ADA.id: over}, PEPPER), {}, ()).still_lets_in(LET_IN)


def test_where_nobody_is_known_everybody_stays() -> None:
    assert Guard(None, {}, ()).still_lets_in(ANYBODY)


# --- where there are no keys

EDGE = ip_network("10.0.0.1")


def an_open_guard() -> Guard:
    """Return one that lets everybody in, by any path, behind one edge."""
    return Guard(None, defaultdict(lambda: Scope.CHAT), (EDGE,))


def asked_from(peer: str, **headers: str) -> web.Request:
    transport = Mock()
    transport.get_extra_info.return_value = (peer, 1)
    return make_mocked_request("GET", "/", headers=headers, transport=transport)


@pytest.mark.parametrize(("peer", "address"), [("10.0.0.1", "203.0.113.9"), ("192.0.2.1", "192.0.2.1")])
def test_where_nobody_is_known_it_is_known_from_where_they_ask(peer: str, address: str) -> None:
    request = asked_from(peer, **{"X-Forwarded-For": "203.0.113.9"})
    an_open_guard().check(request)

    assert (request[PRINCIPAL].address, request[PRINCIPAL].owner) == (address, "")


@pytest.mark.parametrize(
    ("peer", "headers", "told"),
    [
        ("192.0.2.1", {"X-Forwarded-For": "203.0.113.9"}, 1),
        ("192.0.2.1", {}, 0),
        ("10.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 0),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, 0),
    ],
)
def test_an_edge_that_nobody_named_is_told_of_once(peer: str, headers: dict[str, str], told: int) -> None:
    """All whom it brings count as one address, so that it would be full with sixteen."""
    guard = an_open_guard()
    with capture_logs() as lines:
        for _ in range(3):
            guard.check(asked_from(peer, **headers))

    assert [line["event"] for line in lines] == ["edge.not_trusted"] * told
