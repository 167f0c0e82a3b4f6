"""The chain that the terminal's tests share."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.chain import Chain, running_chain
from tests.eventually import eventually
from tests.termchat import hostile

# What people run; the chain's own test profile would cut what a test holds up.
PROXY = {
    "HEARTBEAT_S": "0.5",
    "WRITE_TIMEOUT_S": "10",
    "IDLE_TIMEOUT_S": "30",
    "TOTAL_TIMEOUT_S": "60",
    "GRACE_S": "4",
    "PERMITS": "1",
    "FIRST_TOKEN_TIMEOUT_S": "30",
}


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    captures = tmp_path_factory.mktemp("captures")
    (captures / f"{hostile.CASE}.jsonl").write_text(hostile.recording())
    simulator = {"SCRIPT": "rate=0", "NUM_PARALLEL": "64", "CAPTURES": str(captures)}
    gateway = {"HEARTBEAT_S": "0.5", "WRITE_TIMEOUT_S": "10"}
    with running_chain(simulator=simulator, proxy=PROXY, gateway=gateway) as chain:
        yield chain


def stopped_call(chain: Chain, model: str) -> dict[str, Any]:
    """Return the call of ``model`` once its reader has left it."""
    (call,) = eventually(
        lambda: [one for one in chain.calls(model) if one["end"] == "left"], what=f"{model} is stopped"
    )
    return dict(call)
