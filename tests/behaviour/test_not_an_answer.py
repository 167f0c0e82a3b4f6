"""What comes in an answer's place: pages, encoded bodies, models that cannot be loaded, and a Retry-After."""

import json
from typing import Final

import pytest

from services.simulator.faults import ERROR_WORDS
from tests.behaviour.ollama_client import asking
from tests.chain import Chain
from tests.reader import Answer, Client

ROUTES: Final = ["gateway /api/chat/stream", "gateway /api/chat", "proxy /api/chat/stream", "proxy /api/chat"]
SLOW: Final = "load=2.1,fault=no_load,words=crash"


async def asked(chain: Chain, route: str, model: str) -> Answer:
    side, path = route.split()
    body = asking("chat", model)
    if side == "gateway":
        del body["stream"]
    async with Client(getattr(chain, side).url) as client:
        return await client.ask(path, body)


def told(route: str, answer: Answer) -> tuple[str, str]:
    """Return code and message of a refusal."""
    error = json.loads(answer.body)["error"]
    if route == "proxy /api/chat":
        return answer.headers["Sluice-Error-Code"], error
    return error["code"], error["message"]


@pytest.mark.parametrize("fault", ["page", "encoded"])
@pytest.mark.parametrize("route", ROUTES)
async def test_a_body_that_is_no_answer_is_malformed_and_asked_for_once(fault: str, route: str, chain: Chain) -> None:
    """M15: a sign-in page comes with 200: asking again for it, or telling the client to, helps nobody."""
    model = f"sim:fault={fault},seed={ROUTES.index(route)}"
    answer = await asked(chain, route, model)
    code, message = told(route, answer)

    assert (answer.status, code) == (502, "upstream_malformed")
    assert ("gzip" in message) is (fault == "encoded")
    assert "portal" not in message
    assert len(chain.calls(model)) == 1


@pytest.mark.parametrize("status", [400, 404, 504])
@pytest.mark.parametrize("route", ROUTES)
async def test_a_web_server_s_page_is_not_shown_as_the_model_server_s_words(
    status: int, route: str, chain: Chain
) -> None:
    model = f"sim:fault=page,status={status},seed={ROUTES.index(route)}"
    answer = await asked(chain, route, model)

    assert answer.status == 502
    assert told(route, answer) == ("upstream_error", f"The model server answered {status}.")
    assert len(chain.calls(model)) == 1


@pytest.mark.parametrize("words", ["load", "memory", "tensor"])
async def test_a_model_that_cannot_be_loaded_is_loaded_once_and_nobody_is_told_to_ask_again(
    words: str, chain: Chain, client: Client
) -> None:
    model = f"sim:load=0.05,fault=no_load,words={words}"
    answer = await client.chat(model)

    assert (answer.status, answer.error["code"], answer.error["retryable"]) == (502, "upstream_error", False)
    assert answer.error["message"] == ERROR_WORDS[words]
    assert len(chain.calls(model)) == 1


async def test_a_500_that_took_more_than_two_seconds_is_not_repeated(chain: Chain, client: Client) -> None:
    """Whatever its words: most likely it was a load, and behind it the next one would be."""
    answer = await client.chat(f"sim:{SLOW}")

    assert (answer.status, answer.reason) == (200, "upstream_error")  # the headers left after a second
    assert len(chain.calls(f"sim:{SLOW}")) == 1


async def test_a_tool_call_that_was_cut_short_is_not_to_be_asked_for_again(client: Client) -> None:
    answer = await client.chat("sim:tokens=9,fault=error,at=3,words=tool")

    assert answer.end is not None
    assert (answer.reason, answer.end["error"]["retryable"]) == ("upstream_error", False)
    assert answer.end["error"]["message"] == ERROR_WORDS["tool"]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("route", ROUTES)
async def test_the_model_server_s_own_retry_after_is_what_the_client_is_told(
    status: int, route: str, chain: Chain
) -> None:
    """U9: it knows when it will be ready. Ours would be 1."""
    model = f"sim:status={status},retry_after=17,seed={ROUTES.index(route)}"
    answers = [await asked(chain, route, model)]
    if route == "proxy /api/chat":
        async with Client(chain.proxy.url) as client:
            answers.append(await client.ask("/api/chat", asking("chat", model, shape="object")))

    for answer in answers:
        assert (answer.status, told(route, answer)[0]) == (503, "upstream_unavailable")
        assert answer.headers["Retry-After"] == "17"
