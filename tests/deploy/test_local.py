"""What `make run` tells its user: why it cannot start, or what to try."""

import json
import os
import shlex
import socket
import subprocess
import sys

from deploy.local import banner
from deploy.plan import Plan
from tests.architecture.source import ROOT
from tests.deploy.model_server import ollama


def test_the_refusal_is_one_line_on_stderr_and_exit_1(environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        environ["SLUICE_GATEWAY_LISTEN"] = f"127.0.0.1:{other.getsockname()[1]}"
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local"],
            cwd=ROOT,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "running already" in done.stderr


def test_the_banner_shows_a_curl_for_each_hop_with_a_model_that_is_there(environ: dict[str, str]) -> None:
    with ollama("qwen3:8b", "llama3.2") as url:
        text = banner(Plan.of({**environ, "SLUICE_PROXY_OLLAMA_URL": url}))

    gateway_port, proxy_port, metrics_port = (
        environ[f"SLUICE_{name}_LISTEN"].rpartition(":")[2] for name in ("GATEWAY", "PROXY", "GATEWAY_METRICS")
    )
    commands = [line.strip() for line in text.split("\n") if line.strip().startswith("curl")]
    chat, generate, metrics = commands
    assert chat == (
        f"curl -N localhost:{gateway_port}/api/chat/stream -H 'Content-Type: application/json'"
        """ -d '{"message":"hi"}'"""
    )
    assert generate == (
        f"curl -N localhost:{proxy_port}/api/generate/stream"
        """ -d '{"model":"qwen3:8b","prompt":"hi"}'"""
    )
    assert metrics == f"curl localhost:{metrics_port}/metrics"
    assert f"model server at {url}" in text
    assert "simulator" not in text


def test_the_banner_begins_with_the_page(environ: dict[str, str]) -> None:
    port = environ["SLUICE_WEB_LISTEN"].rpartition(":")[2]

    assert banner(Plan.of(environ)).strip().split("\n")[0] == f"Open http://localhost:{port}"


def test_the_banner_says_how_to_talk_in_a_terminal_wherever_the_gateway_is(environ: dict[str, str]) -> None:
    port = environ["SLUICE_GATEWAY_LISTEN"].rpartition(":")[2]

    assert banner(Plan.of(environ)).strip().split("\n")[1].endswith(f".venv/bin/sluice --url localhost:{port}")


def test_the_banner_says_plainly_that_the_words_are_simulated(environ: dict[str, str]) -> None:
    text = banner(Plan.of(environ))

    assert f"No Ollama answers at {environ['SLUICE_PROXY_OLLAMA_URL']}" in text
    assert "the simulator's, not a model's" in text


def model_shown(text: str) -> str:
    (command,) = [line for line in text.split("\n") if "/api/generate/stream" in line]
    return str(json.loads(shlex.split(command)[-1])["model"])


def test_a_model_server_without_models_is_told_how_to_get_the_one_that_the_curls_then_ask(
    environ: dict[str, str],
) -> None:
    with ollama() as url:
        text = banner(Plan.of({**environ, "SLUICE_PROXY_OLLAMA_URL": url}))

    assert "ollama pull llama3.2\n" in text
    assert model_shown(text) == "llama3.2"


def test_the_curl_names_the_model_that_the_gateway_takes_not_the_newest(environ: dict[str, str]) -> None:
    with ollama("nomic-embed-text:latest", "qwen3:8b") as url:
        plan = Plan.of({**environ, "SLUICE_PROXY_OLLAMA_URL": url})
        chosen = Plan.of({**environ, "SLUICE_PROXY_OLLAMA_URL": url, "SLUICE_GATEWAY_DEFAULT_MODEL": "phi4"})
        assert model_shown(banner(plan)) == "qwen3:8b"
        assert model_shown(banner(chosen)) == "phi4"


def test_a_model_server_with_nothing_but_an_embedder_has_none_that_can_chat(environ: dict[str, str]) -> None:
    with ollama("nomic-embed-text:latest") as url:
        text = banner(Plan.of({**environ, "SLUICE_PROXY_OLLAMA_URL": url}))

    assert "no model that can chat" in text
