"""Which tools of the proxy somebody may ask for here: the operator's choice, and that of their key."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from gateway.guard.keyring import Principal
from gateway.guard.scopes import Scope
from gateway.routes.catalog import Catalog
from gateway.settings import ANY_TOOL
from services.wire.events import ApiError, Code, Failed
from services.wire.request import BadBody, ChatRequest, ModelRequest, ServerTools

_NONE: Final = Failed(Code.FORBIDDEN, "This gateway offers no tools of the server: leave server_tools out.")
_NOT_THIS_KEY: Final = Failed(Code.FORBIDDEN, "This key may not have tools of the server run: leave server_tools out.")
_TOOLS: Final = "tools"


class OfferedTools:
    """The tools that may be asked for.

    Args:
        names: of the operator's choice; ANY_TOOL among them: all.
    """

    def __init__(self, names: Sequence[str], catalog: Catalog) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._catalog = catalog

    def page(self, principal: Principal) -> dict[str, Any]:
        """Return what the list of models says of them: nothing where there are none."""
        if not self._names or not _may(principal):
            return {}
        return {"server_tools": True if ANY_TOOL in self._names else list(self._names)}

    async def allowed(self, request: ModelRequest, principal: Principal) -> ModelRequest:
        """Return ``request`` with those of the tools that it asks for which it may have.

        Raises:
            ApiError: 403.
            BadBody: a tool is asked for by name of a model that cannot call any.
        """
        if not isinstance(request, ChatRequest) or (wanted := request.server_tools) is None:
            return request
        tools = self._allowed(wanted, principal)
        if await self._catalog.lacks(request.model or "", _TOOLS):
            if wanted.demanded:
                raise BadBody("server_tools cannot be asked for: this model cannot call tools")
            tools = replace(tools, names=())
        return replace(request, server_tools=tools)

    def _allowed(self, wanted: ServerTools, principal: Principal) -> ServerTools:
        if not self._names:
            raise ApiError(_NONE)
        if not _may(principal):
            raise ApiError(_NOT_THIS_KEY)
        if ANY_TOOL in self._names:
            return wanted
        if wanted.names is None:
            return replace(wanted, names=self._names)
        for name in wanted.names:
            if name not in self._names:
                raise ApiError(Failed(Code.FORBIDDEN, f"This gateway does not offer the tool {name}."))
        return wanted


def _may(principal: Principal) -> bool:
    """Whether somebody may have tools run: where there are no keys everybody may."""
    return Scope.TOOLS in principal.key.scopes
