"""How the servers begin, and what they say of their health: L8 and L12 of docs/faults.md, and commands."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from services.http.health import FRESH_S
from tests.behaviour.connections import sample
from tests.behaviour.gate import common_gate
from tests.chain import ROOT, Chain, Server, running_chain
from tests.eventually import eventually
from tests.ports import free_port
from tests.reader import Client

SERVERS: Final = ("proxy", "gateway")
READY_S: Final = 5.0
SLACK_S: Final = 3.0
COMMAND_S: Final = 20.0
PAGES: Final = ("/livez", "/readyz", "/health")


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with running_chain(simulator={"NUM_PARALLEL": "8"}, log_level="debug") as chain, common_gate(chain):
        yield chain


def command(module: str, *arguments: str, **environ: str) -> subprocess.Popen[str]:
    """Start a command; several run at once."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**clean, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(commands: Mapping[str, subprocess.Popen[str]]) -> dict[str, tuple[int, str, str]]:
    """Return code, stdout and stderr of each."""
    ended = {name: (process.communicate(timeout=COMMAND_S), process) for name, process in commands.items()}
    return {name: (process.returncode, out, err) for name, ((out, err), process) in ended.items()}


# --- commands


def test_help_lists_every_setting_with_its_default() -> None:
    """What can be turned stands in one place, by its name and its default."""
    told = results({server: command(server, "--help") for server in SERVERS})

    assert {server: code for server, (code, _, _) in told.items()} == dict.fromkeys(SERVERS, 0)
    assert "SLUICE_PROXY_OLLAMA_URL=http://127.0.0.1:11434" in told["proxy"][1]
    assert "SLUICE_GATEWAY_MAX_STREAMS=500" in told["gateway"][1]
    assert all("SLUICE_LOG_LEVEL=info" in out for _, out, _ in told.values())


def test_settings_that_cannot_be_are_all_told_at_once_by_name() -> None:
    """L8: exit 2, a line for each problem, no traceback; with --check and without it."""
    wrong = {
        "proxy": {"SLUICE_PROXY_PERMITS": "0", "SLUICE_PROXY_OLLAMA_URL": "ftp://x", "SLUICE_PROXY_PERMIT": "1"},
        "gateway": {"SLUICE_GATEWAY_LISTEN": "3001", "SLUICE_GATEWAY_DRAIN_S": "soon", "SLUICE_GATEWAY_HOST": "x"},
    }
    commands = {
        f"{server} {flag}": command(server, *flag.split(), **wrong[server])
        for server in SERVERS
        for flag in ("", "--check")
    }

    for name, (code, out, err) in results(commands).items():
        lines = err.rstrip("\n").split("\n")
        assert (code, out) == (2, "")
        assert sorted(line.partition(":")[0] for line in lines) == sorted(wrong[name.split()[0]])
        assert "Traceback" not in err


def test_check_of_good_settings_says_nothing() -> None:
    """Exit 0, and nothing listens."""
    told = results({server: command(server, "--check") for server in SERVERS})

    assert told == dict.fromkeys(SERVERS, (0, "", ""))


def test_a_port_that_is_taken_is_one_line_that_says_the_way_past_it(chain: Chain) -> None:
    """L8: exit not 0, the variable to set, no traceback."""
    taken = {
        "proxy": {"SLUICE_PROXY_LISTEN": chain.proxy.address, "SLUICE_PROXY_METRICS_LISTEN": "127.0.0.1:0"},
        "gateway": {"SLUICE_GATEWAY_LISTEN": "127.0.0.1:0", "SLUICE_GATEWAY_METRICS_LISTEN": chain.proxy.address},
    }
    told = results({server: command(server, **taken[server]) for server in SERVERS})

    for server, (code, _, err) in told.items():
        variable = next(name for name, address in taken[server].items() if address == chain.proxy.address)
        (line,) = err.rstrip("\n").split("\n")
        assert code not in {0, None}
        assert chain.proxy.address in line
        assert variable in line


def test_healthcheck_tells_a_server_that_lives_from_one_that_does_not(chain: Chain) -> None:
    """For images: 0 and 1, by the same settings as the server's."""
    nobody = f"127.0.0.1:{free_port()}"
    asked = {
        "proxy lives": command("proxy", "--healthcheck", SLUICE_PROXY_LISTEN=chain.proxy.address),
        "gateway lives": command("gateway", "--healthcheck", SLUICE_GATEWAY_LISTEN=chain.gateway.address),
        "proxy not": command("proxy", "--healthcheck", SLUICE_PROXY_LISTEN=nobody),
        "gateway not": command("gateway", "--healthcheck", SLUICE_GATEWAY_LISTEN=nobody),
    }

    codes = {name: code for name, (code, _, _) in results(asked).items()}

    assert codes == {"proxy lives": 0, "gateway lives": 0, "proxy not": 1, "gateway not": 1}


# --- health


@pytest.mark.parametrize("side", SERVERS)
def test_the_health_page_tells_people_what_runs(chain: Chain, side: str) -> None:
    """The fields that a person reads from left to right: what, how long, how busy, what is behind it."""
    server: Server = getattr(chain, side)

    status, body = server.get("/health")
    page: dict[str, Any] = json.loads(body)

    assert status == 200
    more = {"gateway": ["keys"], "proxy": ["instance", "streams"]}[side]
    both = ["status", "service", "version", "uptime_s", "active_streams", "queued", "upstream", "reached_s_ago"]
    assert list(page) == [*both, *more]
    assert (page["status"], page["service"], page["active_streams"], page["queued"]) == ("ok", side, 0, 0)
    assert page["upstream"]["reachable"] is True
    assert page["upstream"]["checked_s_ago"] >= 0
    assert page["uptime_s"] > 0
    assert {probe: server.get(probe)[0] for probe in ("/livez", "/readyz")} == {"/livez": 200, "/readyz": 200}


@pytest.mark.clock
async def test_a_dead_model_server_shows_at_both_servers_ten_seconds_after_its_last_answer(chain: Chain) -> None:
    """The gateway counts from when the model server answered, not from when the proxy did."""
    simulator = Server("services.simulator", {"SLUICE_SIMULATOR_LISTEN": "127.0.0.1:0"})
    chain.servers.append(simulator)
    proxy = chain.another_proxy(OLLAMA_URL=simulator.url)
    gateway = chain.another_gateway(PROXY_URL=proxy.url)
    eventually(lambda: gateway.get("/readyz")[0] == 200, "ready", within_s=READY_S + SLACK_S)
    simulator.kill()
    died_at = time.monotonic()
    try:
        eventually(lambda: gateway.get("/readyz")[0] == 503, "the gateway is not ready", within_s=FRESH_S + SLACK_S)
        took_s = time.monotonic() - died_at
        shown = [(server.get("/health")[0], sample(server, "llm_ready")) for server in (proxy, gateway)]
    finally:
        gateway.stop()
        proxy.stop()

    assert took_s <= FRESH_S + 1
    assert shown == [(503, 0), (503, 0)]


async def test_the_health_page_counts_streams_that_run_and_that_wait(chain: Chain) -> None:
    """`active_streams` on both; the line is the proxy's."""
    proxy = Server("proxy", {**chain.proxy_environ, "SLUICE_PROXY_PERMITS": "1", "SLUICE_PROXY_QUEUE_TIMEOUT_S": "20"})
    gateway = chain.another_gateway(PROXY_URL=proxy.url)
    body = {"model": "sim:tokens=300,rate=100", "message": "hi"}
    try:
        eventually(lambda: gateway.get("/readyz")[0] == 200, "ready", within_s=READY_S)
        async with Client(gateway.url) as client, client.open("POST", "/api/chat/stream", body) as first:
            await first.until_tokens(1)
            async with client.open("POST", "/api/chat/stream", body):
                pages = [json.loads(server.get("/health")[1]) for server in (proxy, gateway)]
    finally:
        gateway.stop()
        proxy.stop()

    assert [(page["active_streams"], page["queued"]) for page in pages] == [(2, 1), (2, 0)]


async def test_servers_start_without_a_model_server_and_are_ready_soon_after_it_appears(chain: Chain) -> None:
    """L12: alive, not ready, and honest about it; then ready within five seconds, without a restart."""
    port = free_port()
    proxy = Server("proxy", {**chain.proxy_environ, "SLUICE_PROXY_OLLAMA_URL": f"http://127.0.0.1:{port}"})
    gateway = chain.another_gateway(PROXY_URL=proxy.url)
    try:
        before = {server.module: [server.get(page)[0] for page in PAGES] for server in (proxy, gateway)}
        async with Client(gateway.url) as client:
            refused = await client.chat("sim")
            simulator = Server("services.simulator", {"SLUICE_SIMULATOR_LISTEN": f"127.0.0.1:{port}"})
            chain.servers.append(simulator)
            appeared_at = time.monotonic()
            eventually(lambda: gateway.get("/readyz")[0] == 200, "the gateway is ready", within_s=READY_S + SLACK_S)
            took_s = time.monotonic() - appeared_at
            answered = await client.chat("sim:tokens=3")
    finally:
        gateway.stop()
        proxy.stop()

    assert before == {"proxy": [200, 503, 503], "gateway": [200, 503, 503]}
    assert refused.failure["code"] == "upstream_unavailable"
    assert refused.failure["message"].startswith("AI unavailable.")
    assert took_s <= READY_S + SLACK_S
    assert answered.reason == "stop"
