"""GET /api/usage: what one's keys used, and with the scope `admin` everybody's."""

from aiohttp import web

from gateway.guard.guard import PRINCIPAL, Guard
from gateway.guard.scopes import Scope
from gateway.limits.limiter import Limiter
from services.http import edge


def add_usage(router: web.UrlDispatcher, limiter: Limiter, guard: Guard) -> None:
    """Serve the route."""

    async def tell(request: web.Request) -> web.StreamResponse:
        principal = request[PRINCIPAL]
        of_all = guard.ring is not None and Scope.ADMIN in principal.key.scopes
        return edge.json_response(await limiter.page(principal, guard.keys_of(principal), of_all=of_all))

    router.add_get("/api/usage", tell, allow_head=False)
