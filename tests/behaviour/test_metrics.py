"""What operators are told: families from the start, numbers that match a known pace, one line a stream that adds up."""

import asyncio
import random
import signal
import string
import urllib.request
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.wire.events import Code, ConnectionEnd, FinishReason
from tests.behaviour.connections import gateway_beside, sample, told
from tests.behaviour.gate import common_gate, is_idle
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually, soon
from tests.reader import Client

RATE: Final = 50.0
TOKENS: Final = 50
PREFILL_S: Final = 0.3
PACED: Final = "sim:latest"
STREAMS: Final = 10
GRACE_S: Final = 0.5
GRAIN_S: Final = 0.02  # between the sending of a request and the look at the clock
OTHER: Final = "_OTHER"
MODEL: Final = "gen_ai_request_model"

BOTH: Final = {
    "gen_ai_server_request_duration_seconds",
    "gen_ai_server_time_to_first_token_seconds",
    "llm_time_to_first_answer_seconds",
    "gen_ai_server_time_per_output_token_seconds",
    "gen_ai_client_operation_time_per_output_chunk_seconds",
    "llm_output_tokens_per_second",
    "llm_stage_duration_seconds",
    "llm_admission_wait_seconds",
    "llm_tokens",
    "llm_chunks",
    "llm_streams_active",
    "llm_streams_finished",
    "llm_admission_slots",
    "llm_admission_rejected",
    "llm_upstream_retries",
    "llm_upstream_cancel_seconds",
    "llm_protocol_violations",
    "llm_upstream_up",
    "llm_event_loop_lag_seconds",
    "llm_build_info",
    "llm_ready",
    "process_open_fds",
    "process_resident_memory_bytes",
}
AT_THE_PROXY: Final = {
    "llm_admission_queue_length",
    "llm_usage_source",
    "llm_stream_log_bytes",
    "llm_followers",
    "ollama_model_loaded",
    "ollama_model_loads",
}
SIDES: Final = ("proxy", "gateway")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    script = f"rate={RATE:g},prefill={PREFILL_S:g},tokens={TOKENS}"
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": script},
            proxy={"PERMITS": "16", "GRACE_S": f"{GRACE_S:g}", "KEEP_S": "5", "QUEUE_LENGTH": "1"},
            log_level="debug",
        ) as chain,
        common_gate(chain),
    ):
        yield chain


def page(server: Server) -> tuple[str, str]:
    """Return content type and text of its metrics."""
    with urllib.request.urlopen(f"http://{server.metrics_address}/metrics", timeout=5) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def families(server: Server) -> dict[str, list[dict[str, str]]]:
    """Return the labels of each family's samples."""
    parsed = text_string_to_metric_families(page(server)[1])
    return {family.name: [one.labels for one in family.samples] for family in parsed}


def series(server: Server) -> set[str]:
    return set(server.metrics())


# --- from the start


@pytest.mark.parametrize("side", SIDES)
def test_every_family_is_there_before_anything_happened(chain: Chain, side: str) -> None:
    """A graph is never empty for lack of an event; every family says what it is."""
    server: Server = getattr(chain, side)
    expected = BOTH | (AT_THE_PROXY if side == "proxy" else set())
    eventually(lambda: "ollama_model_loaded" in families(chain.proxy), "the proxy knows the models")

    shown = families(server)

    assert {name for name in expected if not shown.get(name)} == set()
    content_type, text = page(server)
    assert content_type.startswith("text/plain; version=0.0.4")
    assert all(f"# HELP {name}" in text for name in expected)


@pytest.mark.parametrize("side", SIDES)
def test_closed_label_sets_have_their_children_from_the_start(chain: Chain, side: str) -> None:
    """`rate()` loses a series' first increment: it must begin at zero."""
    shown = families(getattr(chain, side))

    def values(family: str, label: str) -> set[str]:
        return {labels[label] for labels in shown[family] if label in labels}

    ends = {*FinishReason, Code.QUEUE_TIMEOUT, *(code for code in Code if code.startswith("upstream_")), Code.INTERNAL}
    assert values("llm_streams_finished", "reason") >= ends | (set(ConnectionEnd) if side == "gateway" else set())
    assert values("llm_admission_wait_seconds", "result") == {"admitted", "timeout", "client_gone"}
    assert values("llm_tokens", "type") >= {"input", "output"}
    assert values("llm_streams_active", MODEL) >= {OTHER}
    assert values("llm_upstream_retries", "reason") >= {"proxy": {"refused", "503"}, "gateway": {"hop", "stale"}}[side]
    assert values("llm_admission_rejected", "reason") >= {"overloaded", "shutting_down"}
    stages = {"proxy": {"load", "prefill", "decode"}, "gateway": {"network", "client_blocked"}}[side]
    assert values("llm_stage_duration_seconds", "stage") >= stages | {"pre", "admission", "connect", "post"}
    assert values("gen_ai_server_request_duration_seconds", "gen_ai_operation_name") == {"chat", "text_completion"}
    if side == "proxy":
        assert values("llm_usage_source", "source") == {"usage", "none"}


@pytest.mark.parametrize("side", SIDES)
async def test_metrics_and_traffic_have_ports_of_their_own(chain: Chain, side: str) -> None:
    """T20: 404 each at the other's."""
    server: Server = getattr(chain, side)

    async with Client(server.url) as public, Client(f"http://{server.metrics_address}") as metrics:
        statuses = [(await public.get("/metrics")).status]
        statuses += [
            (await metrics.get(path)).status for path in ("/", "/livez", "/health", "/api/models", "/api/tags")
        ]
        pages = await asyncio.gather(*(metrics.get("/metrics") for _ in range(20)))

    assert statuses == [404] * 6
    assert {answer.status for answer in pages} == {200}


# --- a known pace


@pytest.mark.clock
async def test_after_ten_streams_of_a_known_pace_the_numbers_match_it(chain: Chain) -> None:
    """Time to first token and tokens/s on both servers; nothing can be faster than the pace."""
    async with Client(chain.gateway.url) as client:
        answers = await asyncio.gather(*(client.chat(PACED) for _ in range(STREAMS)))

    assert {answer.reason for answer in answers} == {"stop"}
    between_s = (TOKENS - 1) / RATE
    output = (answers[0].end or {})["usage"]["output_tokens"]
    for server in (chain.proxy, chain.gateway):
        await soon(partial(all_told, server), "ten are told")
        assert PREFILL_S <= mean(server, "gen_ai_server_time_to_first_token_seconds") <= PREFILL_S + 1.0
        assert PREFILL_S <= mean(server, "llm_time_to_first_answer_seconds") <= PREFILL_S + 1.0
        assert below(server, "gen_ai_server_time_to_first_token_seconds", "0.25") == 0
        assert below(server, "gen_ai_server_time_to_first_token_seconds", "2.0") == STREAMS
        assert RATE / 2 <= mean(server, "llm_output_tokens_per_second") <= RATE * 1.25
        per_token_s = mean(server, "gen_ai_server_time_per_output_token_seconds")
        assert between_s * 0.8 / (output - 1) <= per_token_s <= 2 / RATE
        gaps_s = total(server, "gen_ai_client_operation_time_per_output_chunk_seconds_sum")
        assert STREAMS * between_s * 0.8 <= gaps_s <= STREAMS * (between_s + 1.0)
        assert 0 < count(server, "gen_ai_client_operation_time_per_output_chunk_seconds") <= STREAMS * (TOKENS - 1)
        assert PREFILL_S + between_s * 0.9 <= mean(server, "gen_ai_server_request_duration_seconds")
        assert total(server, "llm_chunks_total") == STREAMS * TOKENS
        assert total(server, "llm_tokens_total", type="output") == STREAMS * output
        assert total(server, "llm_streams_finished_total", reason="stop") == STREAMS
    waits = ("load", "backend_queue", "prefill")  # how the model server splits the wait for its first token
    wait_s = sum(total(chain.proxy, "llm_stage_duration_seconds_sum", stage=stage) for stage in waits) / STREAMS
    assert PREFILL_S - GRAIN_S <= wait_s <= PREFILL_S + 1.0


def all_told(server: Server) -> bool:
    return count(server, "gen_ai_server_request_duration_seconds") == STREAMS


def total(server: Server, family: str, **labels: str) -> float:
    return sample(server, family, **{MODEL: PACED}, **labels)


def count(server: Server, family: str) -> float:
    return total(server, f"{family}_count")


def mean(server: Server, family: str) -> float:
    return total(server, f"{family}_sum") / count(server, family)


def below(server: Server, family: str, le: str) -> float:
    return total(server, f"{family}_bucket", le=le)


# --- names that clients choose


async def test_hundreds_of_model_names_add_no_series(chain: Chain) -> None:
    """T20, S9: names that are not listed are one label value, whether they can be asked for or not."""
    dice = random.Random(7)
    names = ["".join(dice.choices(string.ascii_letters + string.digits + "._-/:", k=20)) for _ in range(200)]
    async with Client(chain.gateway.url) as client, Client(chain.proxy.url) as direct:
        for warm in ("sim:tokens=1", *names[:20]):  # each kind of answer once: it has its own series, whoever asks
            await client.chat(warm)
            await direct.ask("/api/generate/stream", {"model": warm, "prompt": "hi"})
        before = {side: series(getattr(chain, side)) for side in SIDES}
        answers = await asyncio.gather(*(client.chat(name) for name in names))
        scripts = [scripted(tokens=1, prefill=0).name for _ in range(50)]
        spoken = await asyncio.gather(*(client.chat(name) for name in scripts))
        after = {side: series(getattr(chain, side)) for side in SIDES}

    assert {answer.status for answer in answers} <= {400, 404}
    assert {answer.reason for answer in spoken} == {"stop"}
    assert {side: after[side] - before[side] for side in SIDES} == {side: set() for side in SIDES}
    lines = [line for side in SIDES for line in getattr(chain, side).events("stream.finished")]
    assert {line["model"] for line in lines} <= {OTHER, PACED}


# --- what happened


async def test_what_happens_is_counted_where_it_happens(chain: Chain) -> None:
    """A retry, a skipped line, a cancel, a missing last word: each by its own family."""
    counted = {
        "retries": ("llm_upstream_retries_total", {"reason": "503"}),
        "skipped": ("llm_protocol_violations_total", {"kind": "skipped_line"}),
        "truncated": ("llm_protocol_violations_total", {"kind": "truncated"}),
        "no usage": ("llm_usage_source_total", {"source": "none"}),
        "cancels": ("llm_upstream_cancel_seconds_count", {}),
    }

    def now() -> dict[str, float]:
        return {name: sample(chain.proxy, family, **labels) for name, (family, labels) in counted.items()}

    before = now()
    async with Client(chain.gateway.url) as client, SocketClient.connected(chain.gateway.port) as leaver:
        await client.chat(scripted(status=503, times=1, prefill=0, tokens=1).name)
        await client.chat(scripted(fault="malformed", at=3, prefill=0, tokens=5).name)
        await client.chat(scripted(fault="truncate", at=3, prefill=0, tokens=5).name)
        await leaver.chat(scripted(tokens=500, prefill=0).name, "counted-leaver")
        await leaver.until_tokens(3)
        leaver.fin()
    assert await told(chain.proxy, "counted-leaver") == ["cancelled"]

    grown = {name: value - before[name] for name, value in now().items()}

    assert grown == {"retries": 1, "skipped": 1, "truncated": 1, "no usage": 2, "cancels": 1}


# --- one line a stream


async def finish_in_every_way(chain: Chain) -> None:
    """Let streams end by every word that this chain can be brought to say within a few seconds."""
    faults = ("reset", "error", "truncate", "stall", "huge_line")
    asked: list[dict[str, Any]] = [
        {"model": scripted(prefill=0, tokens=5).name},
        {"model": scripted(prefill=0, tokens=20).name, "options": {"num_predict": 3}},
        *({"model": scripted(prefill=0, tokens=20, at=5, fault=fault).name} for fault in faults),
        {"model": scripted(status=503, prefill=0).name},
        {"model": "nobody-knows-me"},
        {"model": "embedder"},
        {"model": ""},
        {"model": "tooler", "tools": [{"type": "function", "function": {"name": "clock"}}]},
    ]
    async with Client(chain.gateway.url) as client, asyncio.TaskGroup() as group:
        for body in asked:
            group.create_task(client.ask("/api/chat/stream", {"message": "hi", **body}))
        for way in ("cancel", "leave", "abandon", "stop reading"):
            group.create_task(end_by(chain, way))
        group.create_task(overfill(chain))


async def end_by(chain: Chain, way: str) -> None:
    small = 4096 if way == "stop reading" else None
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=small) as client:
        mode = "continue" if way == "abandon" else "cancel"
        await client.chat(
            scripted(tokens=2000, rate=500, prefill=0).name, f"ends-by-{way}".replace(" ", "-"), on_disconnect=mode
        )
        await client.until_tokens(3)
        if way == "cancel":
            async with Client(chain.gateway.url) as other:
                await other.ask(f"{client.answer.path}/cancel")
        if way == "stop reading":
            await told(chain.gateway, "ends-by-stop-reading", 10.0)
            async with Client(chain.gateway.url) as other:
                await other.ask(f"{client.answer.path}/cancel")


async def overfill(chain: Chain) -> None:
    """Take every permit of one model, its one place in line until that has waited too long, and be refused."""
    model = scripted(tokens=150, prefill=0).name
    async with Client(chain.gateway.url) as client:
        await asyncio.gather(*(client.chat(model) for _ in range(18)))


async def test_every_outcome_has_one_line_on_each_tier_whose_stages_add_up(chain: Chain) -> None:
    """The stages are the whole time within a millisecond, whatever became of the stream."""
    with gateway_beside(chain, DRAIN_S="0.1") as ending:
        async with SocketClient.connected(ending.port) as client:
            await client.chat(scripted(tokens=500, prefill=0).name, "handed-over-00")
            await client.until_tokens(3)
            await finish_in_every_way(chain)
            ending.signal(signal.SIGTERM)
            await client.until_closed()
            async with Client(chain.gateway.url) as other:  # nobody comes back for it
                await other.ask(f"{client.answer.path}/cancel")
        ending.wait()
        handed_over = ending.events("stream.finished")
    for server in (chain.proxy, chain.gateway):
        await soon(partial(is_idle, server), "every stream has ended", within_s=8.0)

    gateway, proxy = chain.gateway.events("stream.finished") + handed_over, chain.proxy.events("stream.finished")
    uneven = [line for line in gateway + proxy if abs(sum(line["stages"].values()) - line["dur_ms"]) > 1.0]
    assert uneven == []
    assert len({line["request_id"] for line in gateway}) == len(gateway)
    assert len({line["stream_id"] for line in proxy}) == len(proxy)
    failures = {"upstream_disconnected", "upstream_error", "upstream_truncated", "upstream_timeout"}
    failures |= {"upstream_malformed", "upstream_unavailable", "model_not_found", "queue_timeout", "invalid_request"}
    said = {"stop", "length", "tool_calls", "cancelled"}
    assert {line["reason"] for line in proxy} >= failures | said | {"abandoned"}
    assert {line["reason"] for line in gateway} >= failures | said | {*ConnectionEnd, "overloaded"}
    assert {line["outcome"] for line in gateway} == {"ok", "client", "upstream", "shed"}
