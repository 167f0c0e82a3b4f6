"""The simulator as its users start it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from services.simulator.faults import FAULTS
from tests.eventually import soon
from tests.simulator.reader import Reader, chat


@asynccontextmanager
async def process(
    *arguments: str, environ: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``python -m services.simulator``; it is gone when the block ends."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    environment = (
        inherited | {"SLUICE_SIMULATOR_LISTEN": "127.0.0.1:0", "SLUICE_LOG_FORMAT": "json"} | dict(environ or {})
    )
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.simulator", *arguments,
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()
        await started.communicate()


async def port_of(started: asyncio.subprocess.Process) -> int:
    """Return the port that the one ``listening`` line names."""
    assert started.stdout is not None
    async with asyncio.timeout(20):
        line = json.loads(await started.stdout.readline())
    assert line["event"] == "listening"
    return int(line["address"].rpartition(":")[2])


async def test_it_listens_answers_and_is_healthy() -> None:
    async with process() as running:
        port = await port_of(running)
        reader = await Reader.connect(port)
        reader.send(chat("sim:tokens=3,rate=0,load=0,prefill=0"))
        seen = await reader.response()
        reader.leave()
        async with process("--healthcheck", environ={"SLUICE_SIMULATOR_LISTEN": f"127.0.0.1:{port}"}) as check:
            healthy = await check.wait()

    assert (seen.end, len(seen.lines), healthy) == ("whole", 4, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_cuts_streams_without_a_last_chunk_and_exits_0(number: signal.Signals) -> None:
    async with process() as running:
        reader = await Reader.connect(await port_of(running))
        reader.send(chat("sim:tokens=5000,rate=500,load=0,prefill=0"))
        await reader.until(b'"done":false')
        running.send_signal(number)
        rest = bytearray()
        while part := await reader.some():
            rest += part
        reader.leave()
        async with asyncio.timeout(10):
            code = await running.wait()

    assert code == 0
    assert not rest.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("fault", ["reset", "reset_at_once", "deaf"])
async def test_resets_and_half_closed_readers_are_the_same_under_uvloop(fault: str) -> None:
    """The process runs uvloop, the other tests asyncio's own loop."""
    async with process() as running:
        port = await port_of(running)
        reader = await Reader.connect(port)
        reader.send(chat(f"sim:tokens=50,rate=500,load=0,prefill=0,at=5,fault={fault}"))
        if fault == "deaf":
            await reader.until(b'"done":false')
            reader.leave_by_half()
        seen = await reader.response() if fault != "deaf" else None
        left = await _until_left(port) if fault == "deaf" else 0
        reader.leave()

    assert (seen.end if seen is not None else "") == ("reset" if fault != "deaf" else "")
    assert (left > 0) is (fault == "deaf")


async def test_help_lists_settings_and_faults_and_ends() -> None:
    async with process("--help") as helped:
        output, _ = await helped.communicate()

    assert helped.returncode == 0
    assert all(name in output.decode() for name in [*FAULTS, "SLUICE_SIMULATOR_SCRIPT", "/simulator/witness"])


async def test_bad_settings_are_all_named_and_exit_2() -> None:
    bad = {
        "SLUICE_SIMULATOR_SCRIPT": "rate=fast",
        "SLUICE_SIMULATOR_NUM_PARALEL": "3",
        "SLUICE_SIMULATOR_MAX_QUEUE": "-1",
    }
    async with process("--check", environ=bad) as checked:
        _, problems = await checked.communicate()

    lines = problems.decode().strip().split("\n")
    assert checked.returncode == 2
    assert len(lines) == 3
    assert all(any(name in line for line in lines) for name in bad)


async def test_a_port_that_is_taken_is_one_clear_line_and_exit_1() -> None:
    async with process() as running:
        taken = f"127.0.0.1:{await port_of(running)}"
        async with process(environ={"SLUICE_SIMULATOR_LISTEN": taken}) as second:
            _, problem = await second.communicate()

    assert second.returncode == 1
    assert problem.decode().count("\n") == 1
    assert taken in problem.decode()


async def _until_left(port: int) -> int:
    """Return how many tokens the first call made after its reader left, once it has ended."""
    made: list[int] = []

    async def look() -> None:
        reader = await Reader.connect(port)
        reader.send(b"GET /simulator/witness HTTP/1.1\r\nHost: localhost\r\n\r\n")
        call = (await reader.response()).lines[0]["calls"][0]
        reader.leave()
        made.extend([call["tokens_after_left"]] if call["state"] == "ended" else [])

    async with asyncio.timeout(10):
        while not made:
            await look()
    await soon(lambda: bool(made))
    return made[0]
