"""What is built on OpenAI's APIs, unmodified, at the gateway: LangChain on both of them, LiteLLM on the older one."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain import Chain
from tests.client_environment import environment_of
from tests.clients.openai_cases import CASES, WRONG, Case, facts
from tests.clients.outcome import Row

HERE: Final = Path(__file__).parent
ASK_TIMEOUT_S: Final = 55.0
PROGRAMS: Final = {"langchain-openai": "langchain_openai_calls.py", "litellm": "litellm_calls.py"}
LEFT_OUT: Final = {"not offered", "thinking"}
"""LangChain cannot be made to ask for several answers by chance, nor shows what other servers' models think."""
Outcomes = dict[str, dict[str, Any]]


def asked_of(client: str) -> list[Case]:
    """Return the cases of a client."""
    apis = {"langchain-openai": ("chat", "responses"), "litellm": ("chat",)}[client]
    return [
        case
        for case in CASES
        if case.api in apis and case.how in {"whole", "stream"} and case.name not in {*LEFT_OUT, *WRONG}
    ]


PAIRS: Final = [(client, case) for client in PROGRAMS for case in asked_of(client)]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcomes]:
    """What came of the calls of each client that is there, by one process of it."""
    return {}


def outcome_of(client: str, case: Case, chain: Chain, outcomes: dict[str, Outcomes]) -> dict[str, Any]:
    """Return what a client made of a case; the first asks for them all."""
    if client not in outcomes:
        cases = asked_of(client)
        calls = json.dumps([asked(client, one) for one in cases])
        command = [str(environment_of(client)), str(HERE / PROGRAMS[client]), chain.gateway.url]
        done = subprocess.run(command, input=calls, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout[done.stdout.index("[{") :])
        outcomes[client] = {one.title: outcome for one, outcome in zip(cases, told, strict=True)}
    return outcomes[client][case.title]


def asked(client: str, case: Case) -> dict[str, Any]:
    """Return a call in the form of a chat, whatever API it is to go by."""
    seed = 5000 + 1000 * list(PROGRAMS).index(client) + CASES.index(case)
    as_chat = Case(case.name, case.model, "chat", case.how, case.fields).asked(seed)
    return {**as_chat, "api": case.api}


@pytest.mark.parametrize(("client", "case"), PAIRS, ids=lambda value: getattr(value, "title", value))
def test_a_call_gives_the_right_message_or_exception(
    client: str, case: Case, chain: Chain, outcomes: dict[str, Outcomes], rows: list[Row]
) -> None:
    outcome = outcome_of(client, case, chain, outcomes)
    got = facts(outcome)
    rows.append(Row(client, case.title, "", str(got["exception"] or got["finish"]), "right"))
    expected = {name: value for name, value in case.expected.items() if name not in {"code", "exception"}}

    assert {**got, **expected} == got, outcome
