"""The official JavaScript client at the proxy, against itself at the model server."""

import json
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.chain import Chain
from tests.clients.calls import BREAKS, CALLS, HELLO, Call
from tests.clients.outcome import Outcome, Row, differences
from tests.npm_packages import installed

HERE: Final = Path(__file__).parent
ASK_TIMEOUT_S: Final = 30.0
CLIENT: Final = "JavaScript"
ODD: Final = Call(
    "recording generate_odd_characters",
    "generate",
    {"model": "generate_odd_characters", "prompt": "hello", "stream": True},
    frozenset({"context"}),
)
SAME: Final = [*CALLS, ODD]
BROKEN: Final = [
    Call(how, "chat", {"model": model, "messages": HELLO, "stream": True}) for how, model in BREAKS.items()
]


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where the client is installed."""
    return installed(HERE)


Pairs = dict[str, tuple[Outcome, Outcome]]


@pytest.fixture(scope="module")
def outcomes(chain: Chain, folder: Path) -> Pairs:
    """What came of every call, directly and through us, by one process of node."""
    calls = [*SAME, *BROKEN]
    listed = json.dumps([{"method": call.method, "arguments": call.arguments} for call in calls])
    command = ["node", str(HERE / "calls.mjs"), str(folder), chain.simulator.url, chain.proxy.url]
    done = subprocess.run(command, input=listed, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=True)
    pairs = zip(calls, json.loads(done.stdout), strict=True)
    return {call.name: (Outcome(**direct), Outcome(**ours)) for call, (direct, ours) in pairs}


@pytest.mark.parametrize("call", SAME, ids=lambda call: call.name)
def test_a_call_gives_through_us_what_it_gives_directly(call: Call, outcomes: Pairs, rows: list[Row]) -> None:
    direct, ours = outcomes[call.name]
    differ = differences(call, direct, ours)
    rows.append(Row(CLIENT, call.name, str(direct), str(ours), ", ".join(sorted(differ)) or "equal"))

    assert differ == call.differs, (direct.said, ours.said)


@pytest.mark.parametrize("call", BROKEN, ids=lambda call: call.name)
def test_an_answer_that_breaks_off_raises_and_keeps_its_parts(call: Call, outcomes: Pairs, rows: list[Row]) -> None:
    """In words that say what broke: directly the client has its own, or the socket's."""
    direct, ours = outcomes[call.name]
    rows.append(Row(CLIENT, f"chat that {call.name}", str(direct), str(ours), "an error line, whatever broke"))

    assert ours.error is not None
    assert ours.error["type"] == "Error"
    assert ours.error["text"].startswith("The model server")
    assert ours.said["text"] == direct.said["text"] != ""
