"""Claude Code, unmodified, at the gateway: an agent whose model thinks, calls two tools at once, and is asked again.

It keeps the history, and sends what was thought back with our signature. Its side calls are behaviour/test_anthropic's.
"""

import json
import os
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from services.simulator.speech import AFTER_RESULT
from tests.chain import Chain
from tests.client_environment import node, packages

MODEL: Final = "tooler:think=5,calls=2,seed=17"
FILE: Final = "Reykjavík"
"""What the model's calls name: the simulator's word for any text."""
MOST_TURNS: Final = "6"
"""Three are enough: an agent that takes an answer for something else goes on for ever."""
TURN_TIMEOUT_S: Final = 50.0
QUIET: Final = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}
Events = list[dict[str, Any]]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the agent works in."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def said(chain: Chain, work: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Events]:
    """What it told of two questions, the second in the same conversation."""
    home = tmp_path_factory.mktemp("home")
    first = asked(chain, work, home)
    (work / FILE).unlink()  # it writes over nothing that it has not read
    return [first, asked(chain, work, home, "--continue")]


def asked(chain: Chain, work: Path, home: Path, *more: str) -> Events:
    """Ask the agent for a file, and return what it told of its work."""
    runs = str(node())  # first: where it is not there, 400 MB need not be fetched
    program = packages("claude_code") / "node_modules/@anthropic-ai/claude-code/cli-wrapper.cjs"
    form = ("--output-format", "stream-json", "--verbose", "--max-turns", MOST_TURNS)
    place = {"HOME": str(home), "ANTHROPIC_BASE_URL": chain.gateway.url, "ANTHROPIC_AUTH_TOKEN": "none"}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC", "CLAUDE"))}
    done = subprocess.run(
        [runs, str(program), *more, "-p", "Write it", *form, "--tools", "Write", "--allowedTools", "Write"],
        cwd=work,
        env={**environ, **place, **QUIET, "ANTHROPIC_MODEL": MODEL, "MAX_THINKING_TOKENS": "2000"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TURN_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.strip().split("\n")]


def blocks(events: Events, role: str) -> list[dict[str, Any]]:
    """Return the blocks of the messages of ``role``."""
    messages = (event["message"] for event in events if event["type"] == role)
    return [block for message in messages for block in message["content"]]


def test_it_thinks_calls_two_tools_reads_their_results_and_ends_in_words(said: list[Events], work: Path) -> None:
    for events in said:
        told = [block["type"] for block in blocks(events, "assistant")]
        results = blocks(events, "user")

        assert told == ["thinking", "tool_use", "tool_use", "thinking", "text"]
        assert [result["type"] for result in results] == ["tool_result"] * 2
        assert not any(result.get("is_error") for result in results)
        assert (events[-1]["subtype"], events[-1]["is_error"]) == ("success", False)
        assert events[-1]["result"] == AFTER_RESULT
    assert (work / FILE).read_text(encoding="utf-8") == FILE


def test_what_was_thought_and_called_comes_back_to_the_model_in_its_place(said: list[Events], chain: Chain) -> None:
    """Each question begins with the one before, so that a model server need not read it anew."""
    assert said
    asked = [call["body"]["messages"] for call in chain.calls(MODEL)]
    turn = ["assistant", "tool", "tool", "assistant"]
    roles = [message["role"] for message in asked[-1] if message["role"] != "system"]

    assert roles == ["user", *turn, "user", *turn[:-1]]
    assert [questions[: len(before)] for before, questions in pairwise(asked)] == asked[:-1]
    for message in asked[-1]:
        if message["role"] == "assistant":
            assert message["thinking"]
        if message["role"] == "tool":
            assert message["tool_name"] == "Write"
    ids = [call["id"] for message in asked[-1] for call in message.get("tool_calls", ())]
    assert [message["tool_call_id"] for message in asked[-1] if message["role"] == "tool"] == ids


def test_it_asks_for_as_much_thinking_as_it_was_told_to(said: list[Events], chain: Chain) -> None:
    assert said
    assert {call["body"]["think"] for call in chain.calls(MODEL)} == {"high"}
