"""LangChain's standard tests of a chat model, for ChatOpenAI at the gateway: all pass but those that are named here."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.chain import Chain
from tests.client_environment import environment_of

PROGRAM: Final = Path(__file__).with_name("langchain_openai_standard_calls.py")
RUN_TIMEOUT_S: Final = 110.0
APIS: Final = ("TestChatCompletions", "TestResponses")
TOLD: Final = re.compile(r"^(PASSED|FAILED|ERROR) \S*?::(\w+)::(\S+)", re.MULTILINE)
CANNOT_PASS: Final = {
    "test_tool_choice": "a call is forced among several tools, which is 400: no model server that we ask can",
    "test_unicode_tool_call_integration": "the model has to read what it is asked, and the simulator's cannot",
}
AT_LEAST: Final = 33


@pytest.mark.timeout(RUN_TIMEOUT_S + 10)
def test_all_pass_but_those_that_are_named(chain: Chain, tmp_path: Path) -> None:
    alone = ("-c", os.devnull, "--rootdir", str(tmp_path), "--noconftest", "-p", "no:cacheprovider", "-q", "-rA")
    loops = [f"asyncio_default_{what}_loop_scope=session" for what in ("test", "fixture")]
    options = [part for option in ("asyncio_mode=auto", *loops) for part in ("-o", option)]  # as LangChain runs them
    command = [str(environment_of("langchain-openai")), "-m", "pytest", *alone, "--tb=line", *options, str(PROGRAM)]
    own = {"OPENAI_API_BASE": f"{chain.gateway.url}/v1", "LANGSMITH_TRACING": "false"}
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    told = {(api, test): how for how, api, test in TOLD.findall(done.stdout)}

    assert {key for key, how in told.items() if how != "PASSED"} == {
        (api, test) for api in APIS for test in CANNOT_PASS
    }
    for api in APIS:
        assert sum(how == "PASSED" for (of, _), how in told.items() if of == api) >= AT_LEAST, done.stdout
