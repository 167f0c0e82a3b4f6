"""Servers of tools as real processes: what a call comes to, and what is left when it was given up.

What is behind them: proxy/tools/server.py, proxy/tools/connecting.py, proxy/tools/process.py, proxy/tools/function.py.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.config.tool_servers import ToolServerConfig
from proxy.tools.tool import Outcome
from services.wire.events import ApiError, Code
from tests.eventually import soon
from tests.ports import free_port
from tests.proxy.stage import turns
from tests.proxy.tools.stage import START_S, Stage, alive, pid_in, running

PROGRAM = (sys.executable, "-m", "tests.proxy.tools.tool_program")
AWAY = "Not run: the tool's server is not there now."


def program(
    *tools: str, how: str = "", marks: Path | str = "", timeout_s: float = 20.0, **more: Any
) -> ToolServerConfig:
    env = {"TOOL_PROGRAM": how, "TOOL_PROGRAM_MARKS": str(marks)}
    return ToolServerConfig("program", tools, command=PROGRAM, timeout_s=timeout_s, env=env, **more)


def test_who_has_no_tools_imports_nothing_for_them() -> None:
    """The package is an extra, of 57 MB: it may not even be there."""
    code = "import sys, proxy.app; print(*{'mcp', 'jsonschema', 'httpx2', 'anyio'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "\n"


async def test_a_call_comes_to_the_text_of_its_result_whatever_else_is_in_it() -> None:
    tools = ("add", "refuse", "big", "picture", "nothing", "numbers", "environment", "absent")
    with capture_logs() as lines:
        async with running(program(*tools, how="garbage", env_from=("PYTEST_VERSION",)), wait_for=("add",)) as stage:
            came = {
                "add": await stage.call("add", a=1, b=2),
                "refuse": await stage.call("refuse"),
                "big": await stage.call("big", size=20_000),
                "picture": await stage.call("picture"),
                "nothing": await stage.call("nothing"),
            }
            variables = (await stage.call("environment")).text.split(",")
            numbers = await stage.call("numbers")
            offered = stage.offered()

    assert came["add"] == Outcome(True, "3")
    assert (came["refuse"].ok, "no such town" in came["refuse"].text) == (False, True)
    assert came["big"] == Outcome(True, "x" * 16384 + "[cut: 16384 of 20000 bytes]")
    assert came["picture"] == Outcome(True, "a lighthouse\n[image left out]")
    assert came["nothing"].ok is False
    assert "3" in numbers.text
    usual = {"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LC_CTYPE"}
    assert set(variables) - usual == {"PYTEST_VERSION", "TOOL_PROGRAM", "TOOL_PROGRAM_MARKS"}
    assert offered == set(tools) - {"absent"}
    assert [line["why"] for line in lines if line["event"] == "tool.not_offered"] == ["the server does not list it"]
    assert [line["line"] for line in lines if line["event"] == "tool_server.says"] == ["the program starts"]
    assert stage.counted.calls["add", "ok"] == 1
    assert stage.counted.calls["refuse", "error"] == 1
    assert stage.counted.there == {"program": False}
    assert "no such town" not in str(lines)


async def test_a_server_that_dies_ends_its_calls_and_is_there_again() -> None:
    async with running(program("die", "add", "hang"), wait_for=("add",)) as stage:
        beside = stage.calling("hang")
        died = await stage.call("die")
        other = await beside
        meanwhile = await stage.call("add", a=1, b=2)
        await stage.is_there("add")
        again = await stage.call("add", a=1, b=2)

    assert died == other == Outcome(False, "The tool's server ended before the tool had answered.")
    assert meanwhile == Outcome(False, AWAY)
    assert again == Outcome(True, "3")
    assert stage.counted.calls == {
        ("die", "died"): 1,
        ("hang", "died"): 1,
        ("add", "unavailable"): 1,
        ("add", "ok"): 1,
    }


@pytest.mark.parametrize("tool", ["hang", "block"])
async def test_a_call_that_takes_too_long_is_given_up_and_its_process_ends(tool: str) -> None:
    async with running(program(tool, "child", timeout_s=3.0), wait_for=(tool,)) as stage:
        sleeping = int((await stage.call("child")).text)
        outcome = await stage.call(tool)
        await soon(lambda: not alive(sleeping), "the process is gone, and whom it had started", within_s=START_S)
        await stage.is_there(tool)

    assert outcome == Outcome(False, "The tool did not answer within 3 s.")
    assert stage.counted.calls[tool, "timeout"] == 1


async def test_who_leaves_a_call_waits_for_nothing_and_leaves_no_process(tmp_path: Path) -> None:
    async with running(program("hang", how="deaf", marks=tmp_path), wait_for=("hang",)) as stage:
        calling = stage.calling("hang")
        pid = await pid_in(tmp_path / "1")
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)
        assert alive(pid)  # it is ended behind the caller's back
        await soon(
            lambda: not alive(pid), "it is killed: it ignores the end of its stdin and SIGTERM", within_s=START_S
        )

    assert calling.cancelled()
    assert stage.counted.calls == {("hang", "cancelled"): 1}


async def test_a_call_beside_one_that_is_given_up_goes_on(tmp_path: Path) -> None:
    async with running(program("hang", "add", marks=tmp_path), wait_for=("add",)) as stage:
        given_up = stage.calling("hang")
        going_on = stage.calling("hang")
        pid = await pid_in(tmp_path / "1")
        await pid_in(tmp_path / "2")
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        answered = await stage.call("add", a=1, b=2)

        assert answered == Outcome(True, "3")
        assert not going_on.done()
        assert alive(pid)
        going_on.cancel()
        await asyncio.gather(going_on, return_exceptions=True)


@pytest.mark.parametrize("how", ["", "deaf"])
async def test_the_end_of_all_leaves_no_process(how: str, tmp_path: Path) -> None:
    async with running(program("hang", how=how, marks=tmp_path), wait_for=("hang",)) as stage:
        calling = stage.calling("hang")
        pid = await pid_in(tmp_path / "1")
    await asyncio.gather(calling, return_exceptions=True)

    assert not alive(pid)


async def test_a_second_signal_kills_without_waiting(tmp_path: Path) -> None:
    async with running(program("hang", how="deaf", marks=tmp_path), wait_for=("hang",)) as stage:
        calling = stage.calling("hang")
        pid = await pid_in(tmp_path / "1")
        stage.servers.kill()
        await soon(lambda: not alive(pid), "it is gone")
        await asyncio.gather(calling, return_exceptions=True)


async def test_a_server_that_does_not_start_is_told_of_and_tried_again() -> None:
    """One is not there, one says nothing, and one says a line without an end: each keeps nothing of it."""
    none = ToolServerConfig("none", ("x",), command=("/no/such/program",))
    flood = replace(program("flood", how="flood"), name="flood")
    stage = Stage(none, flood, program("hang", how="mute", start_timeout_s=0.3))
    with capture_logs() as lines:
        stage.servers.start()
        told: list[Any] = []

        def all_told() -> bool:
            told[:] = [line for line in lines if line["event"] == "tool_server.ended"]
            return {line["server"] for line in told} == {"none", "flood", "program"}

        await soon(all_told, "all are told of", within_s=START_S)
        await stage.servers.close()

    how = {line["server"]: line["how"] for line in told}
    assert how == {
        "none": "/no/such/program: No such file or directory",
        "flood": "MCPError",
        "program": "start_timeout",
    }
    assert stage.offered() == set()


async def test_one_that_is_asked_for_by_name_must_be_there() -> None:
    stage = Stage(program("add"))

    with pytest.raises(ApiError) as away:
        stage.servers.offer(["add"], demanded=True)
    with pytest.raises(ApiError) as unknown:
        stage.servers.offer(["rm"], demanded=True)

    assert (away.value.failed.code, unknown.value.failed.code) == (Code.UPSTREAM_UNAVAILABLE, Code.INVALID_REQUEST)
    assert stage.servers.offer(["add", "rm"], demanded=False) == ()
    assert stage.servers.check("rm", {}) is None
    assert await stage.call("add", a=1, b=2) == Outcome(False, AWAY)


async def test_a_function_of_python_is_a_tool_by_its_signature() -> None:
    dice = ToolServerConfig("dice", ("tide",), python="tests.proxy.tools.functions:tide", confirm=False)
    async with running(dice, wait_for=("tide",)) as stage:
        (tool,) = stage.servers.offer(["tide"], demanded=True)
        wrong = stage.servers.check("tide", {"town": "Vík", "days": "two"})
        outcome = await stage.call("tide", town="Vík", days=2)

    assert (tool.description, tool.parameters["required"]) == ("Tell the tide of a town.", ["town"])
    assert wrong is not None
    assert wrong.startswith("Wrong arguments: $.days: ")
    assert outcome == Outcome(True, "Vík: 2")


async def test_calls_beyond_those_at_once_wait_for_a_place(tmp_path: Path) -> None:
    async with running(program("hang", "add", marks=tmp_path, parallel=1), wait_for=("add",)) as stage:
        first = stage.calling("hang")
        await pid_in(tmp_path / "1")
        second = stage.calling("add", a=1, b=2)
        await turns(50)
        assert not second.done()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        outcome = await second

    assert outcome in {Outcome(True, "3"), Outcome(False, AWAY)}  # its process ends with the call that was given up


async def test_tools_are_called_over_http_and_are_there_again_when_their_server_is(tmp_path: Path) -> None:
    port = free_port()
    served = [sys.executable, "-m", "tests.proxy.tools.tool_program"]
    environ = {**os.environ, "TOOL_PROGRAM": f"http {port}", "TOOL_PROGRAM_MARKS": str(tmp_path)}
    over_http = ToolServerConfig("web", ("add", "hang"), url=f"http://127.0.0.1:{port}/mcp", timeout_s=20)
    with serving(served, environ) as process:
        async with running(over_http, wait_for=("add",)) as stage:
            first = await stage.call("add", a=1, b=2)
            given_up = stage.calling("hang")
            pid = await pid_in(tmp_path / "1")
            given_up.cancel()
            await asyncio.gather(given_up, return_exceptions=True)
            second = await stage.call("add", a=2, b=2)
            process.kill()
            died = await stage.call("add", a=1, b=2)
            with serving(served, environ):
                await stage.is_there("add")
                again = await stage.call("add", a=3, b=2)

    assert (first, second, again) == (Outcome(True, "3"), Outcome(True, "4"), Outcome(True, "5"))
    assert pid == process.pid
    assert died.ok is False


@contextmanager
def serving(command: list[str], environ: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) as process:
        yield process
        process.kill()
