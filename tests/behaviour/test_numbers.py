"""What an answer says of itself is so: tokens, chunks, bytes, times, reasons, ids."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from services.simulator.prose import prose
from services.simulator.speech import thoughts
from services.simulator.validation import read_ask
from tests.behaviour.frames import frames
from tests.behaviour.gate import CASE_GROWTH_BYTES, common_gate, is_idle, total
from tests.behaviour.refusals import GENERATE, asking
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.eventually import eventually
from tests.reader import Answer, Client

NATIVE: Final = {"Accept": "text/event-stream;dialect=native"}
END_TOKEN: Final = 1  # Ollama counts it (recording generate_stream)
CLOCK: Final = {
    "type": "function",
    "function": {"name": "clock", "parameters": {"properties": {"tz": {"type": "string"}}}},
}
FRAME_TEXT_BYTES: Final = 64 << 10
EARLY_MS: Final = 5  # libuv counts whole milliseconds, from the beginning of a turn of the loop


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64"}
    with (
        running_chain(simulator=simulator, proxy={"PERMITS": "2"}, log_level="debug") as chain,
        common_gate(chain, growth_bytes=CASE_GROWTH_BYTES),
    ):
        yield chain


def done(answer: Answer) -> dict[str, Any]:
    assert answer.end is not None
    assert answer.end["type"] == "done"
    return answer.end


# --- tokens, chunks, bytes


async def test_usage_is_what_the_model_server_counted_and_chunks_and_bytes_are_counted_exactly(
    chain: Chain, client: Client
) -> None:
    model = scripted(tokens=50, think=10)
    answer = await client.ask(GENERATE, asking(model.name))
    (call,) = chain.calls(model.name)
    seed = int(model.name.partition("seed=")[2].partition(",")[0])
    reasoning = "".join(thoughts(10, seed))

    assert (answer.text, answer.thinking) == (model.text, reasoning)
    assert done(answer)["usage"] == {
        "input_tokens": read_ask("generate", json.dumps(call["body"]).encode()).prompt_tokens,
        "output_tokens": call["tokens"] + END_TOKEN,
    }
    assert done(answer)["chunks"] == 60
    assert done(answer)["bytes"] == len((model.text + reasoning).encode())


async def test_usage_of_an_answer_that_was_cut_by_its_length(client: Client) -> None:
    model = scripted(tokens=50)
    answer = await client.chat(model.name, options={"num_predict": 20})

    assert answer.reason == "length"
    assert done(answer)["usage"]["output_tokens"] == done(answer)["chunks"] == 20
    assert done(answer)["bytes"] == len("".join(model.tokens[:20]).encode())


async def test_an_answer_that_was_cancelled_knows_its_chunks_and_bytes_but_no_usage(client: Client) -> None:
    model = scripted(tokens=2000, rate=200)
    async with client.open("POST", GENERATE, asking(model.name)) as reading:
        await reading.until_tokens(10)
        stopped = await client.ask(f"{reading.answer.path}/cancel")
        answer = await reading.until_end()
    tokens = done(answer)["chunks"]

    assert (stopped.status, answer.reason) == (202, "cancelled")
    assert done(answer)["usage"] is None
    assert tokens >= 10
    assert answer.text == "".join(model.tokens[:tokens])
    assert done(answer)["bytes"] == len(answer.text.encode())
    assert [done(answer)["timing"][name] for name in ("load_ms", "prefill_ms", "decode_ms", "tokens_per_s")] == [
        None
    ] * 4


async def test_text_of_more_than_64_kibibytes_in_a_line_becomes_several_events(client: Client) -> None:
    model = scripted(tokens=3, size=200_000)
    answer = await client.chat(model.name)

    assert answer.text == model.text
    assert (done(answer)["chunks"], done(answer)["bytes"]) == (3 * 4, 600_000)


async def test_a_merged_frame_holds_at_most_64_kibibytes_of_text(client: Client) -> None:
    model = scripted(tokens=500, size=1000)
    answer = await client.chat(model.name)
    sizes = [len(data["content"].encode()) for data in answer.data if data["type"] == "token"]

    assert answer.text == model.text
    assert len(sizes) < 500
    assert max(sizes) <= FRAME_TEXT_BYTES


async def test_ids_grow_by_what_each_frame_merges_and_status_has_none(client: Client) -> None:
    model = scripted(tokens=300, rate=2000, burst=7, think=20, load=1.3)
    answer = await client.chat(model.name)
    taken = frames(answer.wire)
    numbers = [frame.number for frame in taken if frame.number is not None]
    unnumbered = {frame["event"] for frame in taken if frame.number is None}

    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == done(answer)["chunks"] + 2 == 322  # start and done have numbers, too
    assert unnumbered == {"status"}
    assert {(frame["id"] or "").rpartition("-")[0] for frame in taken if frame["id"]} == {answer.stream_id}


async def test_a_resumed_connection_goes_on_behind_every_number(client: Client) -> None:
    model = scripted(tokens=40)
    whole = await client.chat(model.name)
    path = f"{whole.path}?after="
    rests = await asyncio.gather(*(client.get(f"{path}{number}") for number in range(whole.last_number)))

    assert [rest.text for rest in rests] == [model.after(number) for number in range(whole.last_number)]
    assert {rest.reason for rest in rests} == {"stop"}
    assert {rest.last_number for rest in rests} == {whole.last_number}


# --- times


async def test_timing_tells_load_prefill_first_token_and_the_pace(client: Client) -> None:
    """Each wait is the simulator's own timer: a lower bound is exact, the upper one leaves a busy machine room."""
    model = scripted(tokens=11, rate=20, load=0.4, prefill=0.3)
    timing = done(await client.chat(model.name))["timing"]

    assert list(timing) == ["queue_ms", "load_ms", "prefill_ms", "decode_ms", "ttft_ms", "total_ms", "tokens_per_s"]
    assert 400 - EARLY_MS <= timing["load_ms"] < 700
    assert 300 - EARLY_MS <= timing["prefill_ms"] < 600
    assert 700 - 2 * EARLY_MS <= timing["ttft_ms"] < 1200
    assert timing["ttft_ms"] + 10 * 50 * 0.95 <= timing["total_ms"] < 2500
    assert 12 < timing["tokens_per_s"] <= 11 / (10 * 0.05) * 1.05
    assert 0 <= timing["queue_ms"] < 200


@pytest.mark.clock
async def test_the_wait_in_line_is_queue_ms(client: Client) -> None:
    model = scripted(tokens=20, rate=20)
    answers = await asyncio.gather(*(client.chat(model.name) for _ in range(3)))
    waits_ms = sorted(done(answer)["timing"]["queue_ms"] for answer in answers)

    assert waits_ms[1] < 500 <= waits_ms[2]
    assert all(done(answer)["timing"]["ttft_ms"] >= done(answer)["timing"]["queue_ms"] for answer in answers)


@pytest.mark.parametrize("tokens", [1, 2])
async def test_there_is_no_rate_below_two_tokens(tokens: int, client: Client) -> None:
    """Ollama reports one token as made in a microsecond; a rate of that is no rate."""
    model = scripted(tokens=50, rate=50)
    answer = await client.chat(model.name, options={"num_predict": tokens})

    assert done(answer)["usage"]["output_tokens"] == tokens
    assert (done(answer)["timing"]["tokens_per_s"] is None) is (tokens < 2)


async def test_an_answer_that_was_held_back_is_as_fast_as_the_model_server_says(chain: Chain, client: Client) -> None:
    """It came in one piece: nobody's clock but the model server's saw its tokens, and their time is decode."""
    name = "tooler:rate=100,prefill=0.1,load=0"
    answer = await client.chat(name, tools=[CLOCK])
    await asyncio.to_thread(eventually, lambda: len(finished(chain, answer)) == 2)
    timing, tokens = done(answer)["timing"], done(answer)["usage"]["output_tokens"]
    proxys, gateways = finished(chain, answer)

    assert timing["decode_ms"] > 50
    assert timing["tokens_per_s"] == pytest.approx(1000 * tokens / timing["decode_ms"], rel=0.02)
    assert [proxys["rate_tps"], gateways["rate_tps"]] == [pytest.approx(timing["tokens_per_s"], rel=0.02)] * 2
    assert proxys["stages"]["decode_ms"] == pytest.approx(timing["decode_ms"], rel=0.02)  # no more than it waited for
    assert proxys["stages"]["backend_queue_ms"] < timing["decode_ms"] / 2
    assert "model_server" not in done(answer)


async def test_the_gateways_own_first_token_is_told_on_the_connection_that_began_the_stream_alone(
    chain: Chain, client: Client
) -> None:
    """It began to wait before the proxy did, so it waited longer."""
    whole = await client.chat(scripted(tokens=5, prefill=0.2).name)
    path = f"{whole.stream_id}?after=2"
    resumed = await client.get(f"/api/chat/stream/{path}")
    from_the_start = await client.get(whole.path)
    async with Client(chain.proxy.url) as direct:
        native = await direct.get(f"/api/streams/{path}", NATIVE)

    assert done(whole)["gateway"]["ttft_ms"] >= done(whole)["timing"]["ttft_ms"] >= 200 - EARLY_MS
    assert "gateway" not in done(resumed)
    assert from_the_start.text == whole.text
    assert "gateway" not in done(from_the_start)
    assert "gateway" not in done(native)
    assert done(resumed)["timing"] == done(whole)["timing"]


async def test_the_stages_in_every_log_line_add_up_to_its_duration(chain: Chain, client: Client) -> None:
    ways = ["", "fault=error,at=3", "fault=reset,at=0", "status=500", "prefill=0.3", "load=0.2", "fault=bad_chunk,at=3"]
    await asyncio.gather(*(client.chat(f"sim:tokens=9,{way}".rstrip(",")) for way in [*ways, "status=404"]))
    for server in (chain.proxy, chain.gateway):
        await asyncio.to_thread(eventually, partial(is_idle, server))
    lines = [*chain.proxy.events("stream.finished"), *chain.gateway.events("stream.finished")]

    assert {line["tier"] for line in lines} == {"proxy", "gateway"}
    assert [line for line in lines if abs(sum(line["stages"].values()) - line["dur_ms"]) > 1] == []


async def test_the_metrics_grow_by_what_the_answers_say(chain: Chain, client: Client) -> None:
    servers = (chain.proxy, chain.gateway)
    for server in servers:  # what others asked for is counted
        await asyncio.to_thread(eventually, partial(is_idle, server))
    before = {server.module: server.metrics() for server in servers}
    answers = await asyncio.gather(*(client.chat(scripted(tokens=count).name) for count in (5, 6, 7)))
    said = {
        "llm_chunks_total": sum(done(answer)["chunks"] for answer in answers),
        "llm_tokens_total": sum(sum(done(answer)["usage"].values()) for answer in answers),
        "llm_streams_finished_total": 3,
        "gen_ai_server_time_to_first_token_seconds_count": 3,
        "gen_ai_server_request_duration_seconds_count": 3,
    }
    for server in servers:
        await asyncio.to_thread(eventually, partial(is_idle, server))
        after = server.metrics()

        assert {name: total(after, name) - total(before[server.module], name) for name in said} == said


def finished(chain: Chain, answer: Answer) -> list[dict[str, Any]]:
    """The lines of an answer's end, the proxy's first."""
    told = [*chain.proxy.events("stream.finished"), *chain.gateway.events("stream.finished")]
    return [line for line in told if line["stream_id"] == answer.stream_id]


# --- reasons


async def test_a_tool_call_makes_the_reason_tool_calls(client: Client) -> None:
    answer = await client.chat("tooler", tools=[CLOCK])
    (call,) = answer.tool_calls

    assert answer.reason == "tool_calls"
    assert list(call) == ["type", "call_id", "name", "arguments"]
    assert (call["name"], call["arguments"]) == ("clock", {"tz": "Reykjavík"})
    assert (done(answer)["chunks"], done(answer)["bytes"]) == (1, 0)


async def test_several_tool_calls_have_names_of_their_own(client: Client) -> None:
    answer = await client.chat("tooler:calls=3", tools=[CLOCK])

    assert answer.reason == "tool_calls"
    assert len({call["call_id"] for call in answer.tool_calls}) == 3
    assert done(answer)["chunks"] == 3


async def test_a_reason_that_nobody_knows_is_stop(client: Client) -> None:
    model = scripted(tokens=5, fault="odd_reason")
    answer = await client.chat(model.name)

    assert (answer.reason, answer.text) == ("stop", model.text)


@pytest.mark.parametrize(("think", "thinks"), [(None, True), (True, True), ("high", True), (False, False)])
async def test_thinking_comes_in_events_of_its_own_before_the_text(
    think: bool | str | None, thinks: bool, client: Client
) -> None:
    answer = await client.chat("thinker", think=think)
    kinds = [event.type for event in answer.events if event.type in {"thinking", "token"}]

    assert answer.reason == "stop"
    assert bool(answer.thinking) is thinks
    assert kinds == sorted(kinds)
    assert "<think>" not in answer.text + answer.thinking


async def test_skipped_lines_are_told_where_there_were_any(client: Client) -> None:
    model = scripted(tokens=9, fault="malformed", at=4, count=3)
    answer = await client.chat(model.name)

    assert (done(answer)["skipped_lines"], done(answer)["chunks"], answer.text) == (3, 9, model.text)


def test_the_words_of_the_simulator_differ_from_seed_to_seed() -> None:
    """Else a text that came out of another stream would pass for the right one."""
    assert len({"".join(prose(20, seed)) for seed in range(50)}) == 50
