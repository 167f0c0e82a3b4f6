"""Several proxies at one gateway: who is asked for what, and what their answers are together."""

import orjson
import pytest
from structlog.testing import capture_logs

from gateway.relay.connection import ClientConnection
from gateway.relay.upstream import RepeatKey
from services.http.client import TransportError
from services.wire.events import ApiError, Code
from services.wire.request import ChatRequest, Message
from tests.gateway.relay.several import Behind, PlayedProxy, behind
from tests.gateway.stage import STREAM_ID

OF_A, OF_B, OF_C = ("abc"[number] + STREAM_ID[4:] for number in range(3))


def a_connection(stream_id: str = "") -> ClientConnection:
    connection = ClientConnection.begin("request-1", "/api/chat/stream", "chat")
    connection.stream_id = stream_id
    return connection


async def started(known: Behind, model: str = "tiny", key: str | None = None) -> str:
    """Start a stream, and return the name of the proxy that took it."""
    connection = a_connection()
    asked = ChatRequest(model=model, messages=(Message("user", "hi"),))
    await known.hops.start(connection, asked, "cancel", key=RepeatKey(key) if key else None)
    assert connection.proxy is not None
    return connection.proxy.name


async def refusal(known: Behind, model: str = "tiny") -> ApiError:
    with pytest.raises(ApiError) as refused:
        await started(known, model)
    return refused.value


# --- a stream is where its id says


async def test_a_stream_is_followed_at_the_proxy_that_its_id_names() -> None:
    a, b = PlayedProxy("a"), PlayedProxy("b")
    async with behind(a=a, b=b) as known:
        for stream_id in (OF_B, OF_B, OF_A):
            await known.hops.follow(a_connection(stream_id), 0)

    assert (a.asked, b.asked) == ([f"/api/streams/{OF_A}"], [f"/api/streams/{OF_B}"] * 2)


async def test_a_stream_of_a_proxy_that_is_none_of_these_is_not_held() -> None:
    async with behind(a=PlayedProxy("a"), b=PlayedProxy("b")) as known:
        with pytest.raises(ApiError) as refused:
            await known.hops.follow(a_connection(OF_C), 0)

    assert refused.value.failed.code is Code.STREAM_GONE


async def test_the_only_one_has_every_stream_however_it_calls_itself() -> None:
    only = PlayedProxy("k3fa")
    async with behind(_=only) as known:
        await known.hops.follow(a_connection(OF_C), 0)

    assert only.asked == [f"/api/streams/{OF_C}"]
    assert known.proxies.states == {}


# --- how they stand


async def test_the_nearest_look_of_those_that_are_ready_is_the_gateway_s_own() -> None:
    a, b = PlayedProxy("a"), PlayedProxy("b")
    a.health["reached_s_ago"] = 7.0
    async with behind(a=a, b=b, nobody=("c",)) as known:
        reached = [await known.known()]
        b.health["status"] = "draining"
        reached.append(await known.known())
        a.health["upstream"] = {"reachable": False}
        reached.append(await known.known())

        assert reached == [1.5, 7.0, None]
        assert known.proxies.states == {"a": "away", "b": "draining", "c": "away"}


async def test_one_that_has_another_name_is_told_of_once_and_is_sent_nothing() -> None:
    a, b = PlayedProxy("a", "tiny"), PlayedProxy("other", "tiny")
    async with behind(a=a, b=b) as known:
        with capture_logs() as lines:
            for _ in range(3):
                await known.known()
        assert {await started(known) for _ in range(10)} == {"a"}
        with pytest.raises(ApiError) as refused:
            await known.hops.follow(a_connection(OF_B), 0)
        await known.proxies.listed("/api/ps")

    assert [(line["log_level"], line["proxy"]) for line in lines if line["event"] == "proxy.misnamed"] == [
        ("error", "b")
    ]
    assert refused.value.failed.code is Code.UPSTREAM_UNAVAILABLE
    assert b.asked == []


async def test_before_the_first_look_nobody_with_a_name_is_asked() -> None:
    a = PlayedProxy("a", "tiny")
    async with behind(a=a) as known:
        assert (await refusal(known)).failed.code is Code.UPSTREAM_UNAVAILABLE
        with pytest.raises(TransportError):
            await known.proxies.read_all("/api/streams")

    assert a.asked == []


# --- who gets a new stream


async def test_streams_of_one_moment_are_shared_out_before_anybody_has_told_of_them() -> None:
    async with behind(a=PlayedProxy("a", "tiny"), b=PlayedProxy("b", "tiny")) as known:
        await known.known()
        names = [await started(known) for _ in range(20)]

    assert names.count("a") == 10


async def test_the_one_that_is_less_busy_at_other_gateways_gets_it() -> None:
    a, b = PlayedProxy("a", "tiny"), PlayedProxy("b", "tiny")
    a.health["streams"] = {"tiny:latest": 3}
    async with behind(a=a, b=b) as known:
        await known.known()

        assert [await started(known) for _ in range(3)] == ["b"] * 3


@pytest.mark.parametrize("code", [Code.SHUTTING_DOWN, Code.OVERLOADED, Code.UPSTREAM_UNAVAILABLE, Code.MODEL_NOT_FOUND])
async def test_where_the_first_began_nothing_the_next_is_asked(code: Code) -> None:
    a, b = PlayedProxy("a", "tiny"), PlayedProxy("b", "tiny")
    b.health["streams"] = {"tiny:latest": 100}  # so that a is first
    async with behind(a=a, b=b) as known:
        await known.known()
        a.refuses = code
        name = await started(known)
        retries = known.metrics.retries.labels("proxy", "elsewhere").value

    assert (name, len(a.asked), retries) == ("b", len(["/api/tags", "/api/chat/stream"]), 1)


async def test_one_that_says_that_it_drains_is_not_asked_again() -> None:
    a, b = PlayedProxy("a", "tiny"), PlayedProxy("b", "tiny")
    b.health["streams"] = {"tiny:latest": 100}
    async with behind(a=a, b=b) as known:
        await known.known()
        a.refuses = Code.SHUTTING_DOWN
        names = [await started(known) for _ in range(3)]

    assert names == ["b"] * 3
    assert a.asked.count("/api/chat/stream") == 1


async def test_one_that_has_gone_is_not_the_client_s_concern() -> None:
    b = PlayedProxy("b", "tiny")
    b.health["streams"] = {"tiny:latest": 100}
    async with behind(b=b, nobody=("a",)) as known:
        await known.known()

        assert [await started(known) for _ in range(3)] == ["b"] * 3


@pytest.mark.parametrize("code", [Code.INVALID_REQUEST, Code.IDEMPOTENCY_CONFLICT, Code.UPSTREAM_ERROR, Code.INTERNAL])
async def test_any_other_refusal_is_the_answer(code: Code) -> None:
    """What may have begun must not begin twice."""
    a, b = PlayedProxy("a", "tiny"), PlayedProxy("b", "tiny")
    b.health["streams"] = {"tiny:latest": 100}
    async with behind(a=a, b=b) as known:
        await known.known()
        a.refuses = code

        assert (await refusal(known)).failed.code is code
    assert "/api/chat/stream" not in b.asked


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
async def test_of_all_refusals_the_one_is_told_after_which_asking_again_may_help(first: int, second: int) -> None:
    codes = (Code.MODEL_NOT_FOUND, Code.OVERLOADED)
    a, b = PlayedProxy("a"), PlayedProxy("b")
    async with behind(a=a, b=b) as known:
        await known.known()
        a.refuses, b.refuses = codes[first], codes[second]

        assert (await refusal(known)).failed.code is Code.OVERLOADED


async def test_one_key_is_asked_of_one_proxy_for_as_long_as_it_is_there() -> None:
    a, b = PlayedProxy("a", "tiny"), PlayedProxy("b", "tiny")
    async with behind(a=a, b=b) as known:
        await known.known()
        names = {await started(known, key="k" * 22) for _ in range(10)}

    assert len(names) == 1


# --- what is asked of all


async def test_the_models_of_all_are_one_list_and_each_is_asked_where_it_is() -> None:
    a, b = PlayedProxy("a", "tiny", "big"), PlayedProxy("b", "TINY:latest", "other")
    async with behind(a=a, b=b) as known:
        await known.known()
        listed = await known.proxies.listed("/api/tags")
        names = {await started(known, "other") for _ in range(5)}
        shown = await known.proxies.show("big")

    assert [model.name for model in listed or ()] == ["tiny", "big", "other"]
    assert names == {"b"}
    assert orjson.loads(shown.body)["capabilities"] == ["tiny", "big"]
    assert "/api/show" not in b.asked


@pytest.mark.parametrize("name", ["tags", "ps"])
async def test_ollama_s_own_lists_are_of_all(name: str) -> None:
    async with behind(a=PlayedProxy("a", "tiny"), b=PlayedProxy("b", "tiny:latest", "other"), nobody=("c",)) as known:
        await known.known()
        answer = await known.proxies.ollama(name, None, "request-1")

    assert [model["name"] for model in orjson.loads(answer.body)["models"]] == ["tiny", "other"]


async def test_a_list_of_streams_is_of_those_that_answer() -> None:
    a, b = PlayedProxy("a"), PlayedProxy("b")
    a.streams, b.streams = [OF_A], [OF_B]
    async with behind(a=a, b=b, nobody=("c",)) as known:
        await known.known()
        answers = await known.proxies.read_all("/api/streams", "ada")

    assert [one["id"] for answer in answers for one in orjson.loads(answer.body)["streams"]] == [OF_A, OF_B]


async def test_an_embedding_is_made_where_its_model_is_and_elsewhere_if_that_is_full() -> None:
    a, b = PlayedProxy("a", "tiny"), PlayedProxy("b", "tiny")
    b.health["streams"] = {"tiny:latest": 100}
    async with behind(a=a, b=b) as known:
        await known.known()
        a.refuses = Code.OVERLOADED
        answer = await known.proxies.ollama("embed", b"{}", "request-1", model="tiny")

    assert answer.status == 200
    assert (a.asked[-1], b.asked[-1]) == ("/api/embed", "/api/embed")


async def test_where_all_refuse_their_own_words_are_the_answer_and_where_none_is_there_it_fails() -> None:
    a = PlayedProxy("a", "tiny")
    a.refuses = Code.OVERLOADED
    async with behind(a=a) as known:
        await known.known()
        refused = await known.proxies.ollama("version", None, "request-1")
        listed = await known.proxies.ollama("tags", None, "request-1")
    async with behind(nobody=("a", "b")) as known:
        await known.known()
        with pytest.raises(TransportError):
            await known.proxies.ollama("version", None, "request-1")

    assert (refused.status, listed.status) == (503, 503)
