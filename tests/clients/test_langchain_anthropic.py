"""LangChain's standard tests of a chat model, for ChatAnthropic and ChatOllama: all pass but those that are named."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.chain import Chain
from tests.client_environment import environment_of

HERE: Final = Path(__file__).parent
RUN_TIMEOUT_S: Final = 110.0
_UNREAD: Final = {"test_unicode_tool_call_integration": "the simulator's model does not read what it is asked"}
_SEVERAL: Final = {"test_tool_choice": "a call is forced among several tools, which is 400: no model server can"}
CANNOT_PASS: Final = {"anthropic": _UNREAD | _SEVERAL, "ollama": _UNREAD}
AT_LEAST: Final = 36


@pytest.mark.timeout(RUN_TIMEOUT_S + 10)
@pytest.mark.parametrize("of", CANNOT_PASS)
def test_all_pass_but_those_that_are_named(of: str, chain: Chain, tmp_path: Path) -> None:
    """They are run in a folder of their own: what configures our tests needs what is not there."""
    program = shutil.copy(HERE / f"langchain_{of}_standard_calls.py", tmp_path)
    one_loop = [f"asyncio_default_{what}_loop_scope=session" for what in ("test", "fixture")]  # their client is kept
    options = [part for option in ("asyncio_mode=auto", *one_loop) for part in ("-o", option)]
    command = [str(environment_of("langchain-anthropic")), "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider"]
    url = chain.gateway.url
    own = {"ANTHROPIC_BASE_URL": url, "OLLAMA_BASE_URL": f"{url}/ollama", "LANGSMITH_TRACING": "false"}
    done = subprocess.run(
        [*command, *options, program],
        cwd=tmp_path,
        env=os.environ | own,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    failed = set(re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE))
    passed = re.search(r"(\d+) passed", done.stdout)

    assert failed == CANNOT_PASS[of].keys(), done.stdout[-4000:]
    assert passed is not None
    assert int(passed[1]) >= AT_LEAST
