"""Tools that are served over HTTP, by a server that breaks rules: what is sent, what is bounded, what is begun anew."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from proxy.config.tool_servers import ToolServerConfig
from proxy.tools.tool import Outcome
from tests.eventually import soon
from tests.proxy.tools.stage import START_S, Stage, running
from tests.tool_server.over_http import AUTHORIZATIONS, CALLED, SESSIONS, TOOLS, make_app


@pytest.fixture
def app() -> web.Application:
    return make_app()


@pytest.fixture
async def stage(app: web.Application, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setenv("TOKEN", "Bearer of-a-test")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there: it must not be asked
    async with TestServer(app, host="127.0.0.1") as server:
        url, headers = str(server.make_url("/mcp")), {"Authorization": "TOKEN"}
        config = ToolServerConfig("web", TOOLS, url=url, timeout_s=30.0, headers_from=headers)
        async with running(config, wait_for=("echo",)) as stage:
            yield stage


async def test_a_call_has_the_headers_that_its_operator_names_and_goes_by_no_proxy(
    app: web.Application, stage: Stage
) -> None:
    assert await stage.call("echo", text="hello") == Outcome(True, "hello")
    assert app[AUTHORIZATIONS] == {"Bearer of-a-test"}


async def test_an_answer_that_is_too_long_compressed_or_elsewhere_fails_its_own_call_alone(
    app: web.Application, stage: Stage
) -> None:
    outcomes = [await stage.call(tool) for tool in ("long", "compressed", "elsewhere")]

    assert [outcome.ok for outcome in outcomes] == [False, False, False]
    assert await stage.call("echo", text="after") == Outcome(True, "after")
    assert len(app[SESSIONS]) == 1


async def test_a_session_that_the_server_has_forgotten_is_begun_anew(app: web.Application, stage: Stage) -> None:
    assert not (await stage.call("forget")).ok

    await soon(lambda: app[SESSIONS], "another session", within_s=START_S)
    await stage.is_there("echo")
    assert await stage.call("echo", text="again") == Outcome(True, "again")


async def test_a_call_that_is_cancelled_leaves_the_others(app: web.Application, stage: Stage) -> None:
    given_up = stage.calling("hang")
    await soon(lambda: "hang" in app[CALLED], "it runs")

    given_up.cancel()
    await asyncio.wait({given_up})

    assert given_up.cancelled()
    assert await stage.call("echo", text="others") == Outcome(True, "others")
