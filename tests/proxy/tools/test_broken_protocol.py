"""Servers of tools that break the protocol: what their calls come to, and who goes on."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config.tool_servers import ToolServerConfig
from proxy.tools.process import Messages
from proxy.tools.tool import Outcome
from tests.eventually import soon
from tests.proxy.tools.stage import START_S, Stage, alive, running
from tests.tool_server.faults import TOOLS

MANY = 100
NONSENSE = Outcome(False, "The tool answered what is no result of a tool.")
DIED = Outcome(False, "The tool's server ended before the tool had answered.")


def faults(seen: Path) -> ToolServerConfig:
    command = (sys.executable, "-m", "tests.tool_server")
    return ToolServerConfig("faults", tuple(TOOLS), command=command, env={"SEEN": str(seen)}, timeout_s=30.0)


def lines_of(seen: Path) -> Callable[[], list[str]]:
    return lambda: seen.read_text().split() if seen.exists() else []


async def goes_on(stage: Stage) -> bool:
    return await stage.call("echo", text="still here") == Outcome(True, "still here")


async def test_an_error_of_the_server_s_own_is_an_answer_whatever_its_code_is(tmp_path: Path) -> None:
    """A process is not ended for it, and the calls beside it go on."""
    lines = lines_of(tmp_path / "seen")
    async with running(faults(tmp_path / "seen"), wait_for=("echo",)) as stage:
        refused = await stage.call("refuse")
        closed = await stage.call("close")
        formless = await stage.call("formless")

        assert refused == Outcome(False, "The tool failed: not today")
        assert closed == Outcome(False, "The tool failed: the shop is closed")
        assert formless == NONSENSE
        assert await goes_on(stage)
        assert lines() == [lines()[0], "refuse", "close", "formless", "echo"]


async def test_a_number_of_any_length_and_half_a_surrogate_pair_are_read(tmp_path: Path) -> None:
    async with running(faults(tmp_path / "seen"), wait_for=("big", "half")) as stage:
        assert await stage.call("big") == Outcome(True, '{"id":1180591620717411303424}')
        assert await stage.call("half") == Outcome(True, "half \ufffd")


async def test_what_cannot_be_read_of_a_result_for_any_reason_is_its_call_s_end_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: object) -> Outcome:
        raise KeyError("a fault of ours")

    async with running(faults(tmp_path / "seen"), wait_for=("echo",)) as stage:
        with monkeypatch.context() as patched:
            patched.setattr("proxy.tools.server.outcome_of", fails)
            assert await stage.call("echo", text="x") == NONSENSE
        assert await goes_on(stage)


@pytest.mark.parametrize("tool", ["endless", "flood"])
async def test_a_line_or_questions_without_an_end_end_the_server(tool: str, tmp_path: Path) -> None:
    """The one would fill the memory with its bytes, the other with answers that nobody reads."""
    lines = lines_of(tmp_path / "seen")
    async with running(faults(tmp_path / "seen"), wait_for=(tool,)) as stage:
        outcome = await stage.call(tool)
        first = int(lines()[0])

        assert outcome == DIED
        await soon(lambda: not alive(first), "its process is gone", within_s=START_S)
        await stage.is_there("echo")
        assert await goes_on(stage)


async def test_what_was_given_up_ends_with_the_last_other_call_in_its_process(tmp_path: Path) -> None:
    """It answers pings, so the other call goes on; what was given up may still run in it, and must not for ever."""
    lines = lines_of(tmp_path / "seen")
    async with running(faults(tmp_path / "seen"), wait_for=("held",)) as stage:
        other, given_up = stage.calling("held"), stage.calling("hang")
        await soon(lambda: {"held", "hang"} <= set(lines()), "both run", within_s=START_S)
        first = int(lines()[0])

        given_up.cancel()
        await soon(lambda: "cancelled" in lines(), "the server is told", within_s=START_S)
        assert (await stage.call("let_go")).ok

        assert await other == Outcome(True, "let go")
        await soon(lambda: not alive(first), "its process is gone", within_s=START_S)
        assert given_up.cancelled()


async def test_messages_that_come_at_once_are_read_one_a_turn_of_the_loop() -> None:
    """Else a server that talks much would hold up every stream."""
    loop, reader, turns = asyncio.get_running_loop(), asyncio.StreamReader(), 0
    reader.feed_data(b'{"jsonrpc":"2.0","method":"notifications/message"}\n' * MANY)

    def turn() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(turn)

    turn()
    messages = Messages(reader, ended=lambda: None)
    for _ in range(MANY):
        await messages.receive()

    assert turns >= MANY
