"""Tools that run in the middle of an answer: one stream of calls, results and turns, from model server to reader."""

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
import pytest

from tests.behaviour.connections import calls_of, gateway_beside, sample, told
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate
from tests.behaviour.script import scripted
from tests.chain import Chain, Server, running_chain
from tests.eventually import soon
from tests.reader import Answer, Client, Reading

CITY: Final = "Reykjavík"  # the simulator's word for a text


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with (
        running_chain(
            simulator={"SCRIPT": "rate=0", "NUM_PARALLEL": "64"},
            proxy={"PERMITS": "1", "TOTAL_TIMEOUT_S": "40", "QUEUE_TIMEOUT_S": "20", "GRACE_S": "20"},
            gateway={"TOOLS": "*"},
            proxy_module="tests.behaviour.tooled_proxy",
            log_level="debug",
        ) as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


def calling(**parameters: Any) -> str:
    return scripted("tooler", tokens=3, **parameters).name


def told_of(answer: Answer, kind: str) -> list[dict[str, Any]]:
    return [data for data in answer.data if data["type"] == kind]


def kinds(answer: Answer) -> list[str]:
    """The events of an answer, without what has no number, and text that is merged or not as one."""
    numbered = [str(data["type"]) for data in answer.data if data["type"] != "status"]
    return [kind for at, kind in enumerate(numbered) if not at or kind != numbered[at - 1]]


def permits_held(chain: Chain) -> float:
    return sample(chain.proxy, "llm_permits_in_use")


def idle(chain: Chain) -> bool:
    """Whether nothing is held: no permit, and nobody in line."""
    return permits_held(chain) == 0 and sample(chain.proxy, "llm_streams_active") == 0


@asynccontextmanager
async def in_a_tool(client: Client, tool: str, **fields: Any) -> AsyncIterator[Reading]:
    said = {"messages": [{"role": "user", "content": "hi"}]}
    body = {"model": calling(tool=tool), **said, "server_tools": [tool], **fields}
    async with client.open("POST", "/api/chat/stream", body) as reading:
        await reading.until_tokens(1)
        yield reading


async def test_a_tool_runs_in_the_middle_of_an_answer_and_the_next_turn_streams_on(
    client: Client, chain: Chain
) -> None:
    model = calling()
    answer = await client.chat(model, server_tools=["clock"])

    assert kinds(answer) == ["start", "tool_call", "tool_result", "token", "done"]
    assert answer.data[0]["tools"] == ["clock"]
    (call,), (result,) = told_of(answer, "tool_call"), told_of(answer, "tool_result")
    assert {name: call[name] for name in ("call_id", "name", "arguments", "runs")} == {
        "call_id": "call_1",
        "name": "clock",
        "arguments": {"city": CITY},
        "runs": "server",
    }
    assert (result["call_id"], result["ok"], result["content"]) == ("call_1", True, f"clock of {CITY}")
    assert answer.end is not None
    assert (answer.reason, answer.end["turns"], answer.end["chunks"]) == ("stop", 2, 4)
    assert answer.end["timing"]["tools_ms"] >= 0
    first, second = (call["body"] for call in calls_of(chain, model))
    assert [tool["function"]["name"] for tool in first["tools"]] == ["clock"]
    assert second["messages"][1]["tool_calls"][0]["function"]["name"] == "clock"
    assert second["messages"][1]["tool_calls"][0]["id"] == second["messages"][2]["tool_call_id"] != "call_1"
    assert second["messages"][2] == {
        "role": "tool",
        "content": f"clock of {CITY}",
        "tool_name": "clock",
        "tool_call_id": second["messages"][2]["tool_call_id"],
    }
    assert "server_tools" not in first
    assert (
        second["options"]["num_predict"] == first["options"]["num_predict"] - answer.end["usage"]["output_tokens"] + 4
    )


async def test_two_tools_in_a_row_and_two_side_by_side(client: Client) -> None:
    both = ["clock", "weather"]
    row = await client.chat(calling(rounds=2), server_tools=both)
    side = await client.chat(calling(calls=2), server_tools=both)

    assert kinds(row) == ["start", *["tool_call", "tool_result"] * 2, "token", "done"]
    assert kinds(side) == ["start", "tool_call", "tool_result", "token", "done"]
    for answer in (row, side):
        assert [call["name"] for call in told_of(answer, "tool_call")] == both
        assert {one["content"] for one in told_of(answer, "tool_result")} == {f"{name} of {CITY}" for name in both}
        assert answer.reason == "stop"


@pytest.mark.parametrize(
    ("tool", "content"),
    [("failing", f"failing of {CITY}"), ("rocket", "Not run: there is no tool of this name here.")],
)
async def test_a_tool_that_fails_and_one_that_is_not_there_do_not_end_the_answer(
    tool: str, content: str, client: Client
) -> None:
    answer = await client.chat(calling(tool=tool), server_tools=True)

    (result,) = told_of(answer, "tool_result")
    assert (result["ok"], result["content"], answer.reason) == (False, content, "stop")


@pytest.mark.parametrize(("approve", "approval"), [(True, "given"), (False, "refused")])
async def test_a_call_waits_for_a_word_through_any_gateway(
    approve: bool, approval: str, client: Client, chain: Chain
) -> None:
    other_word = {"approve": not approve}
    with gateway_beside(chain) as beside:
        async with Client(beside.url) as other, in_a_tool(client, "oven") as reading:
            (call,) = reading.answer.tool_calls
            assert call["approval"] == "needed"
            await soon(lambda: permits_held(chain) == 0, "the permit is given back")
            path = f"{reading.answer.path}/tools/call_1"
            said = [await other.ask(path, {"approve": word}) for word in (approve, approve, not approve)]
            missing = await other.ask(f"{reading.answer.path}/tools/call_2", other_word)
            answer = await reading.until_end()

    assert [one.status for one in (*said, missing)] == [202, 200, 409, 404]
    assert (said[2].error["code"], missing.error["code"]) == ("conflict", "not_found")
    (result,) = told_of(answer, "tool_result")
    assert (result["approval"], result["ok"], answer.reason) == (approval, approve, "stop")


async def test_who_joins_is_told_what_is_waited_for_and_nobody_s_word_is_an_answer_too(client: Client) -> None:
    async with in_a_tool(client, "oven", on_disconnect="continue") as reading:
        async with client.open("GET", reading.answer.path) as other:
            await other.until(lambda joined: told_of(joined, "status"))
            joined = told_of(other.answer, "status")
        await client.ask(f"{reading.answer.path}/cancel")
        answer = await reading.until_end()
    expired = await client.chat(calling(tool="alarm"), server_tools=["alarm"])

    assert joined[0] == {"type": "status", "phase": "approval", "name": "oven", "call_id": "call_1"}
    assert answer.reason == "cancelled"
    (result,) = told_of(expired, "tool_result")
    assert (result["approval"], result["ok"], expired.reason) == ("expired", False, "stop")


@pytest.mark.parametrize("how", ["cancel", "leave"])
async def test_stopping_an_answer_stops_its_tool(how: str, client: Client, chain: Chain) -> None:
    async with in_a_tool(client, "hanging") as reading:
        stream_id, request_id = reading.answer.stream_id, reading.answer.headers["X-Request-Id"]
        if how == "cancel":
            assert (await client.ask(f"/api/chat/stream/{stream_id}/cancel")).status == 202
            assert (await reading.until_end()).reason == "cancelled"
        else:
            reading.leave()

    assert await told(chain.proxy, request_id) == ["cancelled"]
    await soon(lambda: idle(chain), "nothing is held")
    assert (await client.chat(calling(), server_tools=True)).reason == "stop"


async def test_a_gateway_that_dies_in_the_middle_of_a_tool_costs_no_answer(client: Client, chain: Chain) -> None:
    with gateway_beside(chain) as beside:
        async with Client(beside.url) as doomed, in_a_tool(doomed, "oven", on_disconnect="continue") as reading:
            path = reading.answer.path
            beside.kill()
            await reading.until_end()
    async with client.open("GET", path) as again:
        assert (await client.ask(f"{path}/tools/call_1", {"approve": True})).status == 202
        answer = await again.until_end()

    assert (kinds(answer)[-3:], answer.reason) == (["tool_result", "token", "done"], "stop")


@pytest.mark.parametrize("second", [False, True])
async def test_a_proxy_that_drains_lets_tools_go_on_to_its_deadline_and_a_second_signal_ends_them_at_once(
    second: bool, chain: Chain
) -> None:
    settings = {**chain.proxy_environ, "SLUICE_PROXY_DRAIN_S": "30" if second else "0.5"}
    ending = Server("tests.behaviour.tooled_proxy", settings)
    try:
        async with Client(ending.url) as client, in_a_tool(client, "hanging") as reading:
            ending.signal(signal.SIGTERM)
            await soon(lambda: ending.events("draining"), "the drain begins")
            if second:
                ending.signal(signal.SIGTERM)
            else:
                assert (await reading.until_end()).reason == "shutting_down"
            assert ending.wait() == int(second)
    finally:
        ending.stop()


async def test_the_whole_answer_and_the_snapshot_say_what_the_answer_adds_to_a_conversation(
    client: Client, chain: Chain
) -> None:
    streamed = await client.chat(calling(), server_tools=True)
    snapshot = (await client.get(streamed.path, {"Accept": "application/json"})).body
    whole = await client.ask("/api/chat", {"model": calling(), "message": "hi", "server_tools": True})
    model = calling()
    again = await client.ask(
        "/api/chat",
        {"model": model, "messages": [{"role": "user", "content": "hi"}, *parsed(whole)["messages"], USER]},
    )

    for said in (parsed(whole), parsed_bytes(snapshot)):
        assert [message["role"] for message in said["messages"]] == ["assistant", "tool", "assistant"]
    assert "tool_calls" not in parsed(whole)["message"]
    assert parsed(whole)["tools"] == ["clock", "weather", "hanging", "failing"]  # nobody can be asked
    (held,) = parsed_bytes(snapshot)["tool_results"]
    assert (held["call_id"], held["ok"]) == ("call_1", True)
    assert again.status == 200
    assert len(calls_of(chain, model)[0]["body"]["messages"]) == 5


USER: Final = {"role": "user", "content": "and now?"}


def parsed(answer: Answer) -> dict[str, Any]:
    return parsed_bytes(answer.body)


def parsed_bytes(body: bytes) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(body)
    return read


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"server_tools": ["gone"]}, 503, "The tool gone is not there now."),
        ({"server_tools": ["no name"]}, 400, "server_tools must be"),
        ({"server_tools": True, "format": "json"}, 400, "Send either format or server_tools, not both"),
        (
            {"server_tools": True, "tools": [{"function": {"name": "clock"}}]},
            400,
            "tools has clock, which is the name of a tool of the server, too",
        ),
    ],
    ids=["gone", "malformed", "format", "same name"],
)
async def test_what_cannot_be_had_is_refused_before_the_stream(
    fields: dict[str, Any], status: int, words: str, client: Client
) -> None:
    answer = await client.chat(calling(), **fields)

    assert (answer.status, answer.error["message"][: len(words)]) == (status, words)


async def test_a_model_without_tools_is_asked_without_unless_one_is_named(client: Client) -> None:
    without = await client.chat("sim", server_tools=True, options={"num_predict": 2})
    named = await client.chat("sim", server_tools=["clock"])

    assert (without.reason, without.data[0]["tools"]) == ("length", [])
    assert (named.status, named.error["code"]) == (400, "invalid_request")


async def test_a_direct_client_is_told_what_a_model_lacks_as_far_as_the_list_says_it(chain: Chain) -> None:
    """A list that says `completion` alone may not say it all: then the model server itself refuses."""
    said = {"messages": [{"role": "user", "content": "hi"}], "options": {"num_predict": 2}}
    async with Client(chain.proxy.url) as direct:
        without, named, unknown = [
            await direct.ask("/api/chat/stream", {"model": model, "server_tools": tools, **said})
            for model, tools in (("thinker", True), ("thinker", ["clock"]), ("sim", True))
        ]

    assert (without.status, without.data[0]["tools"]) == (200, [])
    assert (named.status, named.error["code"]) == (400, "invalid_request")
    assert named.error["message"] == "server_tools cannot be asked for: this model cannot call tools"
    assert (unknown.status, unknown.error["code"]) == (400, "invalid_request")
    assert unknown.error["message"].endswith("does not support tools")


async def test_a_gateway_offers_what_its_operator_says(client: Client, chain: Chain) -> None:
    with gateway_beside(chain, TOOLS="clock") as one, gateway_beside(chain, TOOLS="") as none:
        async with Client(one.url) as some, Client(none.url) as nobody:
            offered = await some.chat(calling(tool="weather"), server_tools=True)
            refusals = [
                await some.chat(calling(), server_tools=["weather"]),
                await nobody.chat(calling(), server_tools=True),
            ]
            pages = [parsed(await each.get("/api/models")) for each in (client, some, nobody)]

    assert offered.data[0]["tools"] == ["clock"]
    assert told_of(offered, "tool_result")[0]["content"] == "Not run: there is no tool of this name here."
    assert [(one.status, one.error["code"]) for one in refusals] == [(403, "forbidden")] * 2
    assert [page.get("server_tools") for page in pages] == [True, ["clock"], None]


async def test_a_direct_client_asks_for_them_on_the_stream_route_alone(chain: Chain) -> None:
    body = {"model": calling(), "messages": [{"role": "user", "content": "hi"}], "server_tools": ["clock"]}
    async with Client(chain.proxy.url) as direct:
        streamed = await direct.ask("/api/chat/stream", body)
        lines = await direct.ask("/api/chat", {**body, "model": calling()})

    assert [data["tools"] for data in streamed.data if "tools" in data] == [["clock"]]
    assert [data["tool_result"]["content"] for data in streamed.data if "tool_result" in data] == [f"clock of {CITY}"]
    assert lines.headers["Sluice-Dropped"] == "server_tools"


async def test_an_idempotency_key_tells_requests_with_and_without_tools_apart(client: Client) -> None:
    key, body = {"Idempotency-Key": "a-key-that-nobody-guesses"}, {"model": calling(), "message": "hi"}

    first = await client.ask("/api/chat/stream", {**body, "server_tools": True}, key)
    joined = await client.ask("/api/chat/stream", {**body, "server_tools": True}, key)
    other = await client.ask("/api/chat/stream", body, key)

    assert (joined.stream_id, other.status) == (first.stream_id, 409)


async def test_no_line_of_the_log_and_no_metric_has_an_argument_or_a_result(client: Client, chain: Chain) -> None:
    answer = await client.chat(calling(), server_tools=True)
    await told(chain.proxy, answer.headers["X-Request-Id"])
    await told(chain.gateway, answer.headers["X-Request-Id"])

    logged = b"".join(line for server in chain.servers[1:] for line in server.raw)
    shown = "".join(chain.proxy.metrics()) + "".join(chain.gateway.metrics())
    assert CITY.encode() not in logged
    assert CITY not in shown
