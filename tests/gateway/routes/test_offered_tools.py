"""Which tools of the proxy somebody may ask for at a gateway."""

from typing import Any, cast

import pytest

from gateway.guard.keyring import ANYBODY, Principal
from gateway.guard.keys import Key
from gateway.guard.scopes import Scope
from gateway.routes.catalog import Catalog
from gateway.routes.offered_tools import OfferedTools
from services.wire.events import ApiError, Code
from services.wire.request import BadBody, ChatRequest, GenerateRequest, ServerTools

ALL = ServerTools()
CLOCK = ServerTools(("clock",), demanded=True)


class ListedModels:
    """The models' list, as far as it is asked here: one of them cannot call tools."""

    async def lacks(self, name: str, capability: str) -> bool:
        return (name, capability) == ("mute", "tools")


def offering(*names: str) -> OfferedTools:
    return OfferedTools(names, cast("Catalog", ListedModels()))


def somebody(*scopes: Scope) -> Principal:
    return Principal("ada", Key(id="a1B2c3D4", hash="0" * 64, name="Ada", scopes=frozenset(scopes)))


async def allowed(tools: OfferedTools, wanted: ServerTools, who: Principal = ANYBODY, model: str = "m") -> Any:
    request = await tools.allowed(ChatRequest(model=model, server_tools=wanted), who)
    assert isinstance(request, ChatRequest)
    return request.server_tools


@pytest.mark.parametrize(
    ("names", "wanted", "sent"),
    [
        (("*",), ALL, ALL),
        (("*",), CLOCK, CLOCK),
        (("clock", "oven"), ALL, ServerTools(("clock", "oven"))),
        (("clock", "oven"), CLOCK, CLOCK),
    ],
)
async def test_what_the_operator_allows_is_sent_on(
    names: tuple[str, ...], wanted: ServerTools, sent: ServerTools
) -> None:
    assert await allowed(offering(*names), wanted) == sent


@pytest.mark.parametrize("names", [(), ("oven",)])
async def test_what_the_operator_does_not_allow_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ApiError) as refused:
        await allowed(offering(*names), CLOCK)

    assert refused.value.failed.code is Code.FORBIDDEN


async def test_where_there_are_keys_one_needs_the_scope() -> None:
    assert await allowed(offering("*"), ALL, somebody(Scope.CHAT, Scope.TOOLS)) == ALL
    with pytest.raises(ApiError) as refused:
        await allowed(offering("*"), ALL, somebody(Scope.CHAT))

    assert refused.value.failed.code is Code.FORBIDDEN


async def test_a_model_that_cannot_call_is_offered_none_and_refused_one_by_name() -> None:
    assert await allowed(offering("*"), ALL, model="mute") == ServerTools(())
    with pytest.raises(BadBody, match="cannot call tools"):
        await allowed(offering("*"), CLOCK, model="mute")


async def test_who_asks_for_none_is_asked_nothing() -> None:
    for request in (ChatRequest(model="m"), GenerateRequest(model="m")):
        assert await offering().allowed(request, ANYBODY) is request


def test_the_list_of_models_says_which_may_be_asked_for() -> None:
    assert offering("*", "clock").page(ANYBODY) == {"server_tools": True}
    assert offering("clock", "clock").page(ANYBODY) == {"server_tools": ["clock"]}
    assert offering("clock").page(somebody(Scope.CHAT)) == {}
    assert offering().page(ANYBODY) == {}
