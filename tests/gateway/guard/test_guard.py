"""The guard beside a router and a keyring; what it does to requests is behaviour/test_keys."""

from datetime import UTC, datetime

import pytest
from aiohttp import web

from gateway.guard.guard import Guard
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
