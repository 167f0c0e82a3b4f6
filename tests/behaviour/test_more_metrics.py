"""Every family of both servers after a mixed run: the value that the situation implies, or the reason why it has none.

Shows services/telemetry/http_metrics.py, log_metrics.py and process_metrics.py in the chain.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import pytest

import gateway.metrics
import proxy.metrics
from tests.behaviour.connections import told
from tests.behaviour.gate import common_gate, is_idle, total
from tests.behaviour.script import scripted
from tests.behaviour.socket_client import SocketClient
from tests.chain import Chain, Server, running_chain
from tests.eventually import eventually, soon
from tests.reader import Answer, Client

RATE: Final = 50.0
TOKENS: Final = 40
PREFILL_S: Final = 0.2
PACED: Final = "sim:latest"
STREAMS: Final = 6
PERMITS: Final = 4
SILENCE_S: Final = 1.3  # of a stream that stalls: more than the second that is promised
LATE_S: Final = 2.2  # until a first token that comes too late
HELD_UP_S: Final = 0.6  # a reader's pause
SLACK_S: Final = 2.0
SIDES: Final = ("proxy", "gateway")
FAMILIES: Final = {"proxy": proxy.metrics.families(), "gateway": gateway.metrics.families()}

NO_LINE: Final = "the gateway has no waiting line"
NOT_CUT: Final = "nobody is cut here: behaviour/test_slow_readers"
SEVERAL: Final = "there is one model server here: behaviour/test_several_servers"
WITHOUT_VALUE: Final = {
    "proxy": {
        "llm_followers_cut_total": NOT_CUT,
        "llm_log_dropped_total": "somebody reads the log: runtime/test_log",
        "llm_tokens_after_disconnect_total": "a call that is over is closed at once: proxy/test_upstream_call",
        "llm_fallbacks_total": SEVERAL,
        "llm_upstream_circuit_state": SEVERAL,
        "llm_provider_key_ok": SEVERAL,
        "llm_tool_calls_total": "there are no tools here: behaviour/test_tool_servers",
        "llm_tool_call_duration_seconds": "likewise",
        "llm_tool_server_up": "likewise",
        "llm_model_wedged": "no model is wedged here: behaviour/test_wedged_model",
        "ollama_model_vram_bytes": "the simulator has no graphics card, as the recorded server: proxy/test_phases",
    },
    "gateway": {
        "llm_admission_wait_seconds": NO_LINE,
        "llm_admission_rejected_total": "its door is wide open: what is refused here is the proxy's refusal",
        "llm_upstream_retries_total": "no hop breaks and none is stale: behaviour/test_broken_hop",
        "llm_protocol_violations_total": "our proxy keeps the protocol: behaviour/test_broken_hop",
        "llm_log_dropped_total": "somebody reads the log: runtime/test_log",
        "llm_browser_time_to_first_token_seconds": "no page is open: gateway/routes/test_beacon",
        "llm_keys_reload_failed_total": "there are no keys: behaviour/test_owners",
        "llm_store_degraded": "there is no database: behaviour/test_conversations",
        "llm_store_pending_bytes": "likewise: behaviour/test_kept_answers",
        "llm_store_lost_total": "likewise: gateway/conversations/test_writer",
        "llm_limits_degraded": "there is no Valkey: behaviour/test_shared_limits",
        "llm_key_tokens_total": "likewise: behaviour/test_limits",
    },
}


@dataclass
class MixedRun:
    """What the pages of both servers showed: each sample at its highest while it ran, and at the end."""

    highest: dict[str, dict[str, float]] = field(default_factory=lambda: {side: {} for side in SIDES})
    at_end: dict[str, dict[str, float]] = field(default_factory=dict)

    def look(self, chain: Chain) -> None:
        """Scrape both."""
        for side in SIDES:
            self.at_end[side] = getattr(chain, side).metrics()
            for name, value in self.at_end[side].items():
                self.highest[side][name] = max(value, self.highest[side].get(name, 0.0))

    def look_at_memory(self, chain: Chain) -> None:
        """See what is in memory by a proxy that starts now: one asks at its start, and every ten seconds."""
        later = chain.another_proxy()
        eventually(lambda: total(later.metrics(), "ollama_model_loaded") > 0, "a model is seen in memory")
        loaded = {name: value for name, value in later.metrics().items() if name.startswith("ollama_model_loaded")}
        self.highest["proxy"].update(loaded)
        later.stop()

    def sum(self, side: str, family: str, **labels: str) -> float:
        """Return the sum of a family's samples with these labels, at the end."""
        return _sum(self.at_end[side], family, labels)

    def most(self, side: str, family: str, **labels: str) -> float:
        """Return the same of each sample at its highest."""
        return _sum(self.highest[side], family, labels)

    def mean(self, side: str, family: str, **labels: str) -> float:
        """Return a histogram's mean."""
        return self.sum(side, f"{family}_sum", **labels) / self.sum(side, f"{family}_count", **labels)


def _sum(samples: dict[str, float], family: str, labels: dict[str, str]) -> float:
    wanted = [f'{name}="{value}"' for name, value in labels.items()]
    return total({name: value for name, value in samples.items() if all(label in name for label in wanted)}, family)


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    script = f"rate={RATE:g},prefill={PREFILL_S:g},tokens={TOKENS},load=0.2,jitter=0"
    with (
        running_chain(
            simulator={"NUM_PARALLEL": "64", "SCRIPT": script},
            proxy={"PERMITS": str(PERMITS), "QUEUE_LENGTH": "2", "IDLE_TIMEOUT_S": "3", "QUEUE_TIMEOUT_S": "5"},
        ) as chain,
        common_gate(chain),
    ):
        yield chain


@pytest.fixture(scope="module")
def run(chain: Chain) -> MixedRun:
    """A run in which of everything something happens."""
    run = MixedRun()
    asyncio.run(mixed(chain, run))
    for server in (chain.proxy, chain.gateway):
        eventually(partial(is_idle, server), "all is over")
    run.look(chain)
    run.look_at_memory(chain)
    return run


async def mixed(chain: Chain, run: MixedRun) -> None:
    async with Client(chain.gateway.url) as client, asyncio.TaskGroup() as group:
        paced = [group.create_task(client.chat(PACED)) for _ in range(STREAMS)]
        await soon(lambda: total(chain.proxy.metrics(), "llm_admission_queue_length") == 2, "two are in line")
        run.look(chain)
        refused = await client.chat(PACED)
        assert (refused.status, refused.error["code"]) == (503, "overloaded")
        group.create_task(client.ask("/api/generate/stream", {"model": "story", "prompt": "hi"}))
        group.create_task(client.chat(scripted(tokens=8, rate=0, fault="stall", at=4, for_=SILENCE_S).name))
        group.create_task(client.chat(scripted(tokens=8, prefill=LATE_S).name))
        for fault in ("malformed", "error"):
            group.create_task(client.chat(scripted(tokens=8, fault=fault, at=3).name))
        group.create_task(client.chat(scripted(tokens=3, status=503, times=1).name))
        group.create_task(leave(chain))
        group.create_task(hold_up(chain, run))
        group.create_task(ask_strangely(client))
    assert {task.result().reason for task in paced} == {"stop"}


async def leave(chain: Chain) -> None:
    async with SocketClient.connected(chain.gateway.port) as client:
        await client.chat(scripted(tokens=500).name, "leaves-mixed")
        await client.until_tokens(3)
        client.fin()
    assert await told(chain.proxy, "leaves-mixed") == ["cancelled"]


async def hold_up(chain: Chain, run: MixedRun) -> None:
    """Read nothing for a while, of more than all buffers on the way hold."""
    async with SocketClient.connected(chain.gateway.port, receive_buffer_bytes=4096) as client:
        await client.chat(scripted(tokens=4000, rate=0, size=200).name)
        await client.until_tokens(1)
        await asyncio.sleep(HELD_UP_S)  # the pause itself: what is counted
        run.look(chain)
        answer = await client.until_end()
    assert answer.reason == "stop"


async def ask_strangely(client: Client) -> None:
    unknown = await client.chat("nobody-knows-me")
    nowhere: Answer = await client.get("/nowhere/4711")
    async with client.open("PROPFIND", "/api/chat") as reading:
        brewed = await reading.until_end()
    assert (unknown.status, nowhere.status, brewed.status) == (404, 404, 405)


# --- none is empty without a reason


@pytest.mark.parametrize(
    ("side", "name", "kind"), [(side, name, kind) for side in SIDES for name, kind, _ in FAMILIES[side]]
)
def test_a_family_has_a_value_after_a_mixed_run_or_a_reason_for_none(
    run: MixedRun, side: str, name: str, kind: str
) -> None:
    value = run.most(side, f"{name}_count" if kind == "histogram" else name)

    assert (value == 0) == (name in WITHOUT_VALUE[side])


@pytest.mark.parametrize("side", SIDES)
def test_a_reason_is_given_for_families_that_there_are(side: str) -> None:
    assert WITHOUT_VALUE[side].keys() <= {name for name, _, _ in FAMILIES[side]}


# --- the call of the next server, and what a server adds to it


@pytest.mark.parametrize("side", SIDES)
def test_the_call_of_the_next_server_takes_what_the_model_takes(run: MixedRun, side: str) -> None:
    pace_s = PREFILL_S + (TOKENS - 1) / RATE
    labels = {"gen_ai_request_model": PACED, "gen_ai_operation_name": "chat"}

    assert run.sum(side, "gen_ai_client_operation_duration_seconds_count", error_type="", **labels) == STREAMS
    call_s = run.mean(side, "gen_ai_client_operation_duration_seconds", error_type="", **labels)
    assert pace_s * 0.9 <= call_s <= 2 * pace_s + SLACK_S
    first_chunk_s = run.mean(side, "gen_ai_client_operation_time_to_first_chunk_seconds", **labels)
    assert PREFILL_S <= first_chunk_s <= 2 * pace_s + SLACK_S
    assert run.sum(side, "gen_ai_client_operation_duration_seconds_count", error_type="upstream_error") == 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("path", ["first_token", "per_chunk", "total"])
def test_what_a_server_adds_is_neither_the_model_s_time_nor_the_waiting_line_s(
    run: MixedRun, side: str, path: str
) -> None:
    """Two of the six stood in line for most of a second, and a reader held its stream up: neither is in it."""
    asked = STREAMS + 7

    assert run.sum(side, "llm_added_latency_seconds_count", path=path) >= asked
    assert 0 < run.mean(side, "llm_added_latency_seconds", path=path) < PREFILL_S / 2


@pytest.mark.parametrize("side", SIDES)
def test_one_chunk_in_sixteen_is_timed_on_its_way(run: MixedRun, side: str) -> None:
    reads = run.sum(side, "gen_ai_client_operation_time_per_output_chunk_seconds_count")
    timed = run.sum(side, "llm_added_latency_seconds_count", path="per_chunk")

    assert timed < reads / 4


# --- how good it was


@pytest.mark.parametrize("side", SIDES)
def test_the_longest_silence_of_a_stalled_stream_is_counted_once(run: MixedRun, side: str) -> None:
    all_of_them = run.sum(side, "llm_stream_max_gap_seconds_count")
    short = run.sum(side, "llm_stream_max_gap_seconds_bucket", le="1.0")
    longest = run.sum(side, "llm_stream_max_gap_seconds_sum")

    assert all_of_them - short == 1
    assert SILENCE_S <= longest <= SILENCE_S + all_of_them * SLACK_S


def test_good_answers_are_those_that_kept_every_promise(run: MixedRun) -> None:
    """Late, silent in between, broken and shed ones are not; who left or asked for nothing is not judged."""
    good, bad = (run.sum("gateway", "llm_goodput_requests_total", good=word) for word in ("true", "false"))
    shed, broken, silent, late = 1, 1, 1, 1
    lines = STREAMS + 10

    assert bad >= shed + broken + silent + late
    assert good + bad <= lines
    assert run.sum("gateway", "llm_goodput_requests_total", good="false", gen_ai_request_model=PACED) >= shed


def test_the_line_of_a_connection_has_its_verdict_and_its_worst_moment(chain: Chain, run: MixedRun) -> None:
    lines = chain.gateway.events("stream.finished")
    (silent,) = [line for line in lines if (line["max_gap_ms"] or 0) > 1000]
    (left,) = [line for line in lines if line["request_id"] == "leaves-mixed"]
    verdicts = [line["slo_good"] for line in lines if line["slo_good"] is not None]

    assert silent["slo_good"] is False
    assert left["slo_good"] is None
    assert verdicts.count(True) >= run.sum("gateway", "llm_goodput_requests_total", good="true")


def test_the_sizes_of_requests_are_the_model_server_s_counts(run: MixedRun) -> None:
    for kind in ("input", "output"):
        counted = run.sum("proxy", "llm_tokens_total", type=kind)
        assert run.sum("proxy", "llm_request_tokens_sum", type=kind) == counted > 0


def test_a_model_that_was_asked_is_in_memory(run: MixedRun) -> None:
    assert run.most("proxy", "ollama_model_loaded", gen_ai_request_model=PACED) == 1
    assert run.most("proxy", "ollama_model_loaded", gen_ai_request_model="thinker:latest") == 0


# --- readers, connections, requests, the process


@pytest.mark.parametrize("side", SIDES)
def test_the_time_that_a_reader_lets_us_wait_adds_up(run: MixedRun, side: str) -> None:
    assert HELD_UP_S / 2 <= run.sum(side, "llm_client_blocked_seconds_total") <= HELD_UP_S + SLACK_S


def test_what_the_slowest_reader_has_still_to_take_is_shown_and_gone_with_it(run: MixedRun) -> None:
    assert 4096 < run.most("gateway", "llm_client_unsent_bytes_max") < 1 << 20
    assert run.sum("gateway", "llm_client_unsent_bytes_max") == 0


@pytest.mark.parametrize("side", SIDES)
def test_connections_to_the_next_server_are_active_while_it_answers_and_idle_after(run: MixedRun, side: str) -> None:
    assert run.most(side, "llm_upstream_connections", state="active") >= PERMITS
    assert run.sum(side, "llm_upstream_connections", state="active") == 0
    assert run.sum(side, "llm_upstream_connections", state="idle") >= 1


def test_requests_are_counted_by_route_template_method_and_status(run: MixedRun) -> None:
    family, route = "http_server_request_duration_seconds", "/api/chat/stream"
    at_gateway = run.at_end["gateway"]

    assert run.sum("gateway", f"{family}_count", http_route=route, http_response_status_code="200") >= STREAMS
    assert run.sum("gateway", f"{family}_sum", http_route=route) >= STREAMS * TOKENS / RATE * 0.9
    assert run.sum("gateway", f"{family}_count", http_route=route, http_response_status_code="503") == 1
    assert run.sum("gateway", f"{family}_count", http_route=route, http_response_status_code="404") == 1
    assert run.sum("gateway", f"{family}_count", http_route=route, http_response_status_code="") == 1
    assert run.sum("gateway", f"{family}_count", http_route="", http_response_status_code="404") == 1
    assert run.sum("gateway", f"{family}_count", http_route="", http_request_method="_OTHER") == 1
    assert run.sum("proxy", f"{family}_count", http_route="/health", http_response_status_code="200") >= 1
    assert not [name for name in at_gateway if "4711" in name or "PROPFIND" in name]
    assert run.most("gateway", "http_server_active_requests", http_request_method="POST") >= STREAMS
    assert run.sum("gateway", "http_server_active_requests") == 0


@pytest.mark.parametrize("side", SIDES)
def test_values_that_became_other_are_counted(run: MixedRun, side: str) -> None:
    dropped = "llm_telemetry_dropped_labels_total"

    assert run.sum(side, dropped, label="gen_ai_request_model") >= 7
    assert run.sum("gateway", dropped, label="http_request_method") == 1


@pytest.mark.parametrize("side", SIDES)
def test_the_lines_of_the_log_are_counted_by_level(chain: Chain, run: MixedRun, side: str) -> None:
    server: Server = getattr(chain, side)
    finished = run.sum(side, "llm_streams_finished_total")

    assert run.sum(side, "llm_log_events_total", level="info") > finished
    assert run.sum(side, "llm_log_events_total", level="error") == 0
    assert run.sum(side, "llm_log_events_total") <= len(server.lines)


@pytest.mark.parametrize("side", SIDES)
def test_pauses_for_garbage_are_timed(run: MixedRun, side: str) -> None:
    assert 0 < run.sum(side, "python_gc_pause_seconds_sum") < SLACK_S
