"""LiteLLM's proxy, a peer with other aims: one hop, in OpenAI's language, in an environment of its own."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.contender import Contender, clean_environ, process, wait_for_answer
from tests.bench.cores import Cores, pinned
from tests.ports import free_port
from tests.processes import children_of

NAME: Final = "LiteLLM"
PINNED: Final = "litellm[proxy]==1.108.7"
BEARS: Final = frozenset({"memory", "paced10", "alone", "requests"})
"""What it is asked: 200 streams at 50 tokens a second are more than one process of it carries."""
START_S: Final = 120.0
BODY: Final = '{"model":"bench","stream":true,"messages":[{"role":"user","content":"PROMPT"}]}'
CONFIGURATION: Final = """
model_list:
  - model_name: bench
    litellm_params: {{model: ollama_chat/bench, api_base: "http://127.0.0.1:{port}"}}
"""
ENVIRON: Final = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # asks nobody on the network
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # it listens on loopback, for minutes
}


def environment(folder: Path) -> Path:
    """Return the command of an environment in ``folder`` that has it; make it, if it is not there."""
    command = folder / "litellm" / "bin" / "litellm"
    if not command.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder / "litellm")], check=True)
        python = folder / "litellm" / "bin" / "python"
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PINNED], check=True)
    return command


@contextlib.contextmanager
def litellm(command: Path, model_server: int, cores: Cores, folder: Path) -> Iterator[Contender]:
    """Run it in front of the model server."""
    port, log, configuration = free_port(), folder / "litellm.log", folder / "litellm.yaml"
    configuration.write_text(CONFIGURATION.format(port=model_server))
    asked = [str(command), "--config", str(configuration), "--host", "127.0.0.1", "--port", str(port)]
    with contextlib.ExitStack() as stack:
        with pinned(cores.hops[0]):
            child = stack.enter_context(process(asked, log=log, cwd=folder, environ={**clean_environ(), **ENVIRON}))
        wait_for_answer(f"http://127.0.0.1:{port}/health/liveliness", child, log, within_s=START_S)
        hops = {"proxy": [child.pid, *children_of(child.pid)]}
        yield Contender(NAME, port, "/v1/chat/completions", BODY, hops=hops)
