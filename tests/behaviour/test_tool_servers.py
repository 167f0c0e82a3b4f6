"""Servers of tools that the configuration names: from the file to an answer, and to the end of the proxy."""

import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.behaviour.connections import calls_of, sample
from tests.behaviour.script import scripted
from tests.chain import Chain, running_chain
from tests.eventually import eventually, soon
from tests.proxy.tools.stage import alive, pid_in
from tests.reader import Answer, Client

START_S: Final = 30.0
FILE: Final = """
[[tools]]
name = "program"
command = [{python}, "-m", "tests.proxy.tools.tool_program"]
allow = ["hang", "refuse", "die", "picture"]
env = {{ TOOL_PROGRAM = "deaf", TOOL_PROGRAM_MARKS = {marks} }}
confirm = false

[[tools]]
name = "time"
command = [{time}]
allow = ["get_current_time"]
confirm = false
"""
TIME: Final = str(Path(sys.executable).with_name("mcp-server-time"))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("tools"))


def written(folder: Path) -> str:
    """Write a configuration whose program says in ``folder`` who hangs."""
    python, time, marks = (json.dumps(text) for text in (sys.executable, TIME, str(folder)))
    (folder / "sluice.toml").write_text(FILE.format(python=python, time=time, marks=marks))
    return str(folder / "sluice.toml")


@pytest.fixture(scope="module")
def chain(config: str) -> Iterator[Chain]:
    proxy = {"PERMITS": "2", "CONFIG": config, "DRAIN_S": "1"}
    with running_chain(simulator={"SCRIPT": "rate=0"}, proxy=proxy, gateway={"TOOLS": "*"}) as chain:
        eventually(lambda: servers_there(chain) == 2, "both servers of tools are there", within_s=START_S)
        yield chain


def servers_there(chain: Chain) -> float:
    return sample(chain.proxy, "llm_tool_server_up")


def calling(tool: str, **parameters: Any) -> str:
    return scripted("tooler", tokens=3, tool=tool, **parameters).name


def result(answer: Answer) -> dict[str, Any]:
    (told,) = [data for data in answer.data if data["type"] == "tool_result"]
    return told


async def test_a_real_server_s_result_is_in_the_stream_and_in_the_next_turn(client: Client, chain: Chain) -> None:
    model = calling("get_current_time")
    answer = await client.chat(model, server_tools=["get_current_time"])

    told = result(answer)
    assert (told["ok"], answer.reason) == (True, "stop")
    assert '"timezone": "America/New_York"' in told["content"]  # the example of the tool's own schema
    first, second = (call["body"] for call in calls_of(chain, model))
    (offered,) = first["tools"]
    assert offered["function"]["parameters"]["required"] == ["timezone"]
    assert second["messages"][-1]["content"] == told["content"]


async def test_no_argument_and_no_result_is_in_a_log_or_a_metric(client: Client, chain: Chain) -> None:
    await soon(lambda: servers_there(chain) == 2, "both are there", within_s=START_S)
    await client.chat(calling("refuse"), server_tools=["refuse"])
    counted = sample(chain.proxy, "llm_tool_calls_total", tool="refuse")

    def lines() -> list[dict[str, Any]]:
        return [line for line in chain.proxy.events("tool.called") if line["tool"] == "refuse"]

    await soon(lambda: len(lines()) == counted, "each call has its line")
    assert {(line["server"], line["outcome"]) for line in lines()} == {("program", "error")}
    written = b"".join(tuple(chain.proxy.raw)) + json.dumps(chain.proxy.metrics()).encode()
    assert b"no such town" not in written


@pytest.mark.parametrize(
    ("tool", "ok", "words"),
    [
        ("picture", True, "a lighthouse\n[image left out]"),
        ("refuse", False, "there is no such town"),
        ("die", False, "The tool's server ended before the tool had answered."),
    ],
)
async def test_whatever_a_tool_does_the_answer_goes_on(
    tool: str, ok: bool, words: str, client: Client, chain: Chain
) -> None:
    await soon(lambda: servers_there(chain) == 2, "both are there", within_s=START_S)
    before = sample(chain.proxy, "llm_tool_calls_total", tool=tool)
    answer = await client.chat(calling(tool), server_tools=[tool])

    told = result(answer)
    assert (told["ok"], answer.reason) == (ok, "stop")
    assert told["content"].endswith(words)
    assert sample(chain.proxy, "llm_tool_calls_total", tool=tool) == before + 1


@pytest.mark.parametrize(
    ("signals", "drain_s", "code"),
    [
        ((signal.SIGTERM,), "0", 0),
        ((signal.SIGTERM, signal.SIGTERM), "60", 1),
        ((signal.SIGKILL,), "60", -signal.SIGKILL),  # nobody is left then but who watches
    ],
)
async def test_the_end_of_the_proxy_leaves_no_process(
    signals: tuple[signal.Signals, ...], drain_s: str, code: int, chain: Chain, tmp_path: Path
) -> None:
    """The server ignores the end of its stdin and SIGTERM, and a call is in it."""
    proxy = chain.another_proxy(CONFIG=written(tmp_path), DRAIN_S=drain_s)
    await soon(lambda: sample(proxy, "llm_tool_server_up") == 2, "both are there", within_s=START_S)
    async with Client(proxy.url) as direct:
        said = {"messages": [{"role": "user", "content": "hi"}]}
        body = {"model": calling("hang"), **said, "server_tools": ["hang"]}
        async with direct.open("POST", "/api/chat/stream", body):
            pid = await pid_in(tmp_path / "1")
            for number in signals:
                proxy.signal(number)
                await soon(lambda: proxy.events("draining") or not proxy.running, "it has heard")
            await soon(lambda: not proxy.running, "it has ended", within_s=START_S)

    assert proxy.wait() == code
    await soon(lambda: not alive(pid), "its server, which was killed without waiting for its death, is gone")
