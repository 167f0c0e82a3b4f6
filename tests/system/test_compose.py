"""The containers of docker-compose.yml run, with the simulator: from nothing to nothing, in the order of this file.

What needs a faulty container heals it again. Cases L6, L12, L13, S15 and S16, and threats T1 and T4, of docs/faults.md.
"""

import asyncio
import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest
from playwright.async_api import async_playwright

from tests.behaviour.private_network import private_network
from tests.behaviour.script import scripted
from tests.browser.page_chain import HOUSE
from tests.browser.visit import Visit
from tests.containers import Stack, docker, image, printed, stand_in
from tests.eventually import eventually
from tests.machine import needs, program
from tests.ports import free_ports
from tests.reader import Answer, Client, Reading

pytestmark = [pytest.mark.container, needs("engine", "compose"), pytest.mark.timeout(900)]

TRIES: Final = """
import json, os, socket
def tried(what):
    try: what()
    except OSError as exc: return os.strerror(exc.errno)
    return "did it"
def run():
    with open("/tmp/x", "w") as program: program.write("#!/app/.venv/bin/python")
    os.chmod("/tmp/x", 0o755)
    os.execv("/tmp/x", ["x"])
status = dict(line.split(":\\t", 1) for line in open("/proc/1/status").read().splitlines() if ":\\t" in line)
print(json.dumps({
    "capabilities": int(status["CapEff"], 16), "no new privileges": status["NoNewPrivs"], "user": os.getuid(),
    "write": [tried(lambda: open(path, "w")) for path in ("/x", "/app/x", "/var/lib/sluice/x", "/etc/passwd")],
    "raw socket": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "ping": tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1)),
    "setuid": tried(lambda: os.setuid(0)),
    "run what was written": tried(run),
}))
"""
AGAIN_S: Final = 60.0  # until a container's Python serves, on a busy machine
RESTARTED_S: Final = 5.0
NOBODY_THERE: Final = {"upstream_unavailable", "upstream_timeout"}
"""The second where the engine's DNS takes more than a second to say that it knows no such name."""
PORTS: Final = ("PAGE_PORT", "GATEWAY_PORT", "GRAFANA_PORT", "EDGE_PORT", "EDGE_TLS_PORT")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    image()
    stack = Stack("sluice-test", {"PUBLIC_HOST": HOUSE, **ports})
    assert stack.left() == {}
    try:
        stack.up()
        yield stack
    finally:
        stack.remove()


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    async with Client(stack.url("gateway", 3001)) as client:
        yield client


def status(url: str) -> int:
    """Return the status of a GET; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 ours
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code
    except OSError:
        return 0


async def recovered(client: Client) -> None:
    """Ask until an answer is whole again."""
    async with asyncio.timeout(AGAIN_S):
        while (await client.chat(scripted(tokens=2).name)).reason != "stop":
            pass  # a refusal took its time, too


def code_of(answer: Answer) -> str:
    """Return why there was no answer, before its headers left or after."""
    return str(answer.error["code"]) if answer.status >= 400 else answer.reason


@contextlib.contextmanager
def away(stack: Stack, service: str) -> Iterator[None]:
    """Stop a container, and start it again with the block's end."""
    container = stack.inspect(service)["Id"]
    printed(stack.compose("stop", "--timeout", "1", service))
    try:
        yield
    finally:
        printed(docker("start", container))


def reaching(host: str, port: int) -> str:
    """Return the code that tries a connection, and prints what came of it."""
    return f"""
import socket
try: socket.create_connection(({host!r}, {port}), 2)
except OSError as exc: print(type(exc).__name__)
else: print("reached")
"""


@contextlib.asynccontextmanager
async def midway(client: Client, model: str) -> AsyncIterator[Reading]:
    """Ask for an answer and read until it is well under way."""
    body = {"model": model, "message": "hi", "on_disconnect": "continue"}
    async with client.open("POST", "/api/chat/stream", body) as reading:
        await reading.until_tokens(20)
        yield reading


def test_everything_is_healthy_from_nothing(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    images = [f"{name}: {found}" for name in ("python", "prometheus", "edge") if (found := stand_in(name))]
    with capsys.disabled():
        print(
            f"\nup --wait from nothing: {stack.up_s:.1f} s; stand-ins: {', '.join(images) or 'none'};",
            f"left out: {', '.join(sorted(stack.left_out)) or 'none'}",
        )

    health = {name: stack.inspect(name)["State"]["Health"]["Status"] for name in ("page", "gateway", "proxy", "ollama")}
    assert set(health.values()) == {"healthy"}
    assert stack.inspect("prepare")["State"]["ExitCode"] == 0


async def test_an_answer_comes_through_the_gateway_whole(stack: Stack, client: Client) -> None:
    said = scripted(tokens=40, rate=200)

    answer = await client.chat(said.name)

    assert (answer.text, answer.reason) == (said.text, "stop")
    assert len(stack.calls(said.name)) == 1


async def test_the_page_is_used_by_another_name_and_goes_on_after_its_gateway_was_killed(stack: Stack) -> None:
    said, next_said = scripted(tokens=150, rate=25), scripted(tokens=10, rate=50)
    if program("chromium") is None:
        pytest.skip("this machine has no chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program("chromium"), args=["--no-sandbox", f"--host-resolver-rules=MAP {HOUSE} 127.0.0.1"]
        )
        visit = await Visit.to(f"http://{HOUSE}:{stack.environ['PAGE_PORT']}", await browser.new_context())
        libraries = await visit.page.evaluate("async () => (await (await fetch('/config.json')).json()).libraries")
        await visit.choose(said.name)
        await visit.ask("hi")
        await visit.has_text()

        since = stack.inspect("gateway")["State"]["StartedAt"]
        stack.kill_process("gateway")
        assert await asyncio.to_thread(stack.away_s, "gateway", since) <= RESTARTED_S
        await visit.finished(AGAIN_S)
        taken_up = await visit.record()
        ready = f"{stack.url('gateway', 3001)}/readyz"
        await asyncio.to_thread(eventually, lambda: status(ready) == 200, "the gateway is ready", within_s=AGAIN_S)
        await visit.choose(next_said.name)
        await visit.ask("and now?")
        await visit.finished(AGAIN_S)

        record = await visit.record()
        await browser.close()
    # the page gives up after five tries, before a busy machine's Python serves again; nothing that was shown is lost
    assert said.text.startswith(taken_up["text"])
    assert taken_up["status"] == ("sent" if taken_up["text"] == said.text else "interrupted")
    assert (record["text"], record["status"]) == (next_said.text, "sent")
    assert set(libraries) == {"marked", "highlight", "katex"}
    assert visit.complaints == []


async def test_a_proxy_that_is_killed_ends_its_answers_with_the_truth_and_comes_back(
    stack: Stack, client: Client
) -> None:
    """L6: one terminal event, the model stops, and the policy starts the process again."""
    said = scripted(tokens=2000, rate=50)
    since = stack.inspect("proxy")["State"]["StartedAt"]

    async with midway(client, said.name) as reading:
        stack.kill_process("proxy")
        answer = await reading.until_end()

    assert answer.reason == "upstream_disconnected"
    assert said.text.startswith(answer.text)
    assert await asyncio.to_thread(stack.away_s, "proxy", since) <= RESTARTED_S
    (call,) = stack.calls(said.name)
    assert (call["state"], call["end"]) == ("ended", "left")
    await recovered(client)


async def test_a_proxy_that_was_stopped_by_force_is_there_again_after_up(stack: Stack, client: Client) -> None:
    printed(stack.compose("kill", "proxy"))
    assert code_of(await client.chat(scripted(tokens=5).name)) in NOBODY_THERE

    printed(stack.compose("up", "--detach"))

    await recovered(client)


async def test_without_its_model_server_the_chain_is_alive_and_not_ready_and_starts_nothing_again(
    stack: Stack, client: Client
) -> None:
    """L12, from the start of both servers on."""
    with away(stack, "ollama"):
        printed(stack.compose("restart", "--timeout", "1", "proxy", "gateway"))
        eventually(lambda: status(f"{client.url}/livez") == 200, "the gateway is alive", within_s=AGAIN_S)

        assert status(f"{client.url}/readyz") == 503
        assert code_of(await client.chat(scripted(tokens=5).name)) in NOBODY_THERE
        started = {name: stack.inspect(name)["State"]["StartedAt"] for name in ("gateway", "proxy")}
    answers = reaching("127.0.0.1", 11434)
    eventually(lambda: stack.python("ollama", answers) == "reached", "the model server is there", within_s=AGAIN_S)
    eventually(lambda: status(f"{client.url}/readyz") == 200, "the gateway is ready", within_s=5.0)

    assert {name: stack.inspect(name)["State"]["StartedAt"] for name in started} == started
    await recovered(client)


async def test_prometheus_sees_both_servers_and_when_it_is_gone_no_reader_notices(stack: Stack, client: Client) -> None:
    if "prometheus" in stack.left_out:
        pytest.skip("no image of Prometheus can be had here")

    def scraped() -> set[str]:
        asked = ("promtool", "query", "instant", "http://127.0.0.1:9090", 'up{job=~"gateway|proxy"} == 1')
        told = stack.compose("exec", "-T", "prometheus", *asked).stdout
        return {job for job in ("gateway", "proxy") if f'job="{job}"' in told}

    await asyncio.to_thread(eventually, lambda: scraped() == {"gateway", "proxy"}, "both are scraped", within_s=40)
    said = scripted(tokens=150, rate=50)

    async with midway(client, said.name) as reading:
        printed(stack.compose("kill", "prometheus"))
        answer = await reading.until_end()

    assert (answer.text, answer.reason) == (said.text, "stop")


async def test_the_edge_has_the_page_and_the_api_on_one_address(stack: Stack) -> None:
    if "edge" in stack.left_out:
        pytest.skip("no image of HAProxy can be had here")
    said = scripted(tokens=20, rate=200)

    async with Client(stack.url("edge", 8080)) as edge:
        told = json.loads((await edge.get("/config.json")).body)
        answer = await edge.chat(said.name)

    assert told["gateway"] == "", "the page asks its own origin"
    assert (answer.text, answer.reason) == (said.text, "stop")


@pytest.mark.parametrize("service", ["page", "gateway", "proxy", "ollama"])
def test_a_process_has_no_rights_and_can_change_nothing(stack: Stack, service: str) -> None:
    """L13, S15: what it tries fails, and the tests above passed all the same."""
    assert json.loads(stack.python(service, TRIES)) == {
        "capabilities": 0,
        "no new privileges": "1",
        "user": 65532,
        "write": ["Read-only file system"] * 4,
        "raw socket": "Operation not permitted",
        "ping": "Permission denied",
        "setuid": "Operation not permitted",
        "run what was written": "Permission denied",
    }


@needs("root", "ip")
def test_no_connection_leads_out(stack: Stack) -> None:
    """S16: a stranger's address that any container reaches is reached by none of these."""
    with private_network() as outside, outside.new_socket() as listener:
        listener.bind((outside.there, 0))
        listener.listen()
        code = reaching(outside.there, listener.getsockname()[1])

        control = printed(docker("run", "--rm", image(), "python", "-c", code))
        tried = {name: stack.python(name, code) for name in ("page", "gateway", "proxy", "ollama")}

    assert control == "reached", "the way is open to others"
    assert {name for name, outcome in tried.items() if outcome == "reached"} == set()


def test_nobody_but_the_proxy_reaches_the_model_server(stack: Stack) -> None:
    """T1: neither by its address nor by its name."""
    found = stack.inspect("ollama")
    (address,) = [network["IPAddress"] for network in found["NetworkSettings"]["Networks"].values()]

    ways = [("page", address), ("gateway", address), ("gateway", "ollama")]
    tried = {way: stack.python(way[0], reaching(way[1], 11434)) for way in ways}

    assert {way for way, outcome in tried.items() if outcome == "reached"} == set()
    assert stack.python("proxy", reaching("ollama", 11434)) == "reached"
    assert not any(found["NetworkSettings"]["Ports"].values()), "no port of this machine leads to it"


def test_grafana_s_password_is_made_once_and_by_chance(stack: Stack) -> None:
    read = ("run", "--rm", "--no-deps", "-T", "prepare", "python", "-c")
    file = "import pathlib; print(pathlib.Path('/var/lib/sluice/grafana_admin_password').read_text())"

    first = printed(stack.compose(*read, file))
    printed(stack.compose("run", "--rm", "-T", "prepare"))

    assert len(first) >= 32
    assert printed(stack.compose(*read, file)) == first


def test_a_wrong_setting_is_one_line_and_starts_nothing(stack: Stack) -> None:
    wrong = Stack("sluice-test-wrong", {**stack.environ, "PUBLIC_HOST": "not a host", "BIND": "127.0.0.9"})
    try:
        done = wrong.compose("up", "--wait")
        said = docker("logs", wrong.inspect("prepare")["Id"]).stderr.strip()
        state = wrong.inspect("gateway")["State"]
    finally:
        wrong.remove()

    assert done.returncode != 0
    assert said.split("\n") == [
        "SLUICE_WEB_GATEWAY_URL: expected http(s)://host[:port] as browsers reach it, or same-origin"
    ]
    assert (state["Status"], state["StartedAt"][:4]) == ("created", "0001")


def test_down_drains_and_leaves_nothing(stack: Stack) -> None:
    printed(stack.compose("--profile", "*", "down", "--volumes"))

    assert stack.left() == {}
