"""The guard of the gateway's routes: who asks, and may they? No handler sees a request that may not be.

request -> credential -> Keyring -> Principal -> the scope that its route demands -> the handler
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog
from aiohttp import web

from gateway.guard.address import Network, client_address, is_in, is_this_machine
from gateway.guard.credential import credential_of
from gateway.guard.keyring import ANYBODY, Keyring, Principal
from gateway.guard.scopes import ANY_KEY, Demand
from gateway.guard.wrong_keys import WrongKeys
from services.wire.events import ApiError, Code, Failed

log = structlog.get_logger()

PRINCIPAL: Final = web.RequestKey("principal", Principal)
"""Who asks."""
Access = Mapping[str, Demand]
"""What a route demands of a key, by its path as the router writes it."""
_UNAUTHORIZED: Final = Failed(Code.UNAUTHORIZED, "Send a key that is good here, as Authorization: Bearer <key>.")
_TOO_MANY: Final = Failed(Code.RATE_LIMITED, "Too many wrong keys came from this address.")
_NOT_THIS: Final = Failed(Code.FORBIDDEN, "This key may not do this. Ask the operator for the scope.")


class Guard:
    """Lets in whom the keyring knows, as far as their key goes.

    Args:
        ring: the keys, or None: everybody is let in, and nobody is known.
        access: of all routes that there are.
        edges: whose word for a client's address is believed.
    """

    def __init__(self, ring: Keyring | None, access: Access, edges: Sequence[Network]) -> None:
        self.ring = ring
        self._access = access
        self._edges = edges
        self._wrong = WrongKeys()
        self._told_of_edge = False

    def demand_access_of_all(self, router: web.UrlDispatcher) -> None:
        """Let no process start with a route of which nobody said who may use it.

        Raises:
            LookupError: with their paths.
        """
        paths = {resource.canonical for resource in router.resources()}
        if missing := sorted(paths - self._access.keys()):
            raise LookupError(f"who may use {', '.join(missing)}?")

    def still_lets_in(self, principal: Principal) -> bool:
        """Return whether who was let in would be now."""
        return self.ring is None or principal is ANYBODY or self.ring.still_lets_in(principal, datetime.now(UTC))

    def keys_of(self, principal: Principal) -> set[str]:
        """Return the ids of the principal's own keys: the one that asks, and those of the same name."""
        kept = {} if self.ring is None else self.ring.keys
        return {principal.key.id, *(key.id for key in kept.values() if key.name == principal.key.name)}

    def check(self, request: web.Request) -> None:
        """Note who asks, for the handler.

        Raises:
            ApiError: they may not: 400, 401, 403 or 429.
        """
        resource = request.match_info.route.resource
        demand = None if resource is None else self._access[resource.canonical]
        if demand is None:
            request[PRINCIPAL] = ANYBODY
        elif self.ring is None:
            self._look_for_edge(request)
            request[PRINCIPAL] = replace(ANYBODY, address=self._address_of(request))
        else:
            request[PRINCIPAL] = self._let_in(self.ring, request, demand)

    @staticmethod
    async def challenge(_request: web.Request, response: web.StreamResponse) -> None:
        """Say with a 401 what is wanted: for ``on_response_prepare``."""
        if response.status == 401:
            response.headers["WWW-Authenticate"] = "Bearer"

    def _let_in(self, ring: Keyring, request: web.Request, demand: Demand) -> Principal:
        headers = request.headers
        credential = credential_of(headers.getall("Authorization", ()), headers.getall("X-Api-Key", ()))
        principal = ring.principal_of(credential, datetime.now(UTC)) if credential else None
        if principal is None:
            raise self._refused(request, is_guess=bool(credential))
        if demand != ANY_KEY and demand not in principal.key.scopes:
            raise ApiError(_NOT_THIS)
        return principal

    def _refused(self, request: web.Request, *, is_guess: bool) -> ApiError:
        """Return the refusal of who has no good key; who has one is served from any address."""
        if not is_guess:
            return ApiError(_UNAUTHORIZED)
        wait_s = self._wrong.wait_s(self._address_of(request), time.monotonic())
        return ApiError(_TOO_MANY, retry_after_s=math.ceil(wait_s)) if wait_s else ApiError(_UNAUTHORIZED)

    def _address_of(self, request: web.Request) -> str:
        return client_address(request.remote or "", request.headers.getall("X-Forwarded-For", ()), self._edges)

    def _look_for_edge(self, request: web.Request) -> None:
        """Say once that something in front is not trusted: all whom it brings then count as one address."""
        if self._told_of_edge or "X-Forwarded-For" not in request.headers:
            return
        peer = request.remote or ""
        if not is_this_machine(peer) and not is_in(peer, self._edges):
            self._told_of_edge = True
            log.warning("edge.not_trusted", advice="if it is yours, name it in SLUICE_GATEWAY_TRUSTED_EDGES")
