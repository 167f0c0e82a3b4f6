"""What `make run` decides before it starts anything; tests/system/test_make_run.py runs it."""

import contextlib
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from deploy.local import LISTEN, CannotRun, Plan, banner
from tests.architecture.source import ROOT
from tests.documents.declared import settings_of


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class OllamaHandler(http.server.BaseHTTPRequestHandler):
    """As much of a model server as `make run` looks at."""

    models: tuple[str, ...] = ()

    def do_GET(self) -> None:
        answers = {"/api/version": {"version": "0.12.0"}, "/api/tags": {"models": [{"name": m} for m in self.models]}}
        body = json.dumps(answers.get(self.path, {})).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def ollama(*models: str) -> Iterator[str]:
    handler = type("Handler", (OllamaHandler,), {"models": models})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def environ() -> dict[str, str]:
    """Free addresses, and no model server."""
    addresses = {name: f"127.0.0.1:{free_port()}" for name in LISTEN}
    return {**addresses, "SLUICE_PROXY_OLLAMA_URL": f"http://127.0.0.1:{free_port()}"}


def test_without_a_model_server_the_simulator_takes_its_place(environ: dict[str, str]) -> None:
    plan = Plan.of(environ)

    assert list(plan.modules) == ["simulator", "proxy", "gateway"]
    assert plan.environ["SLUICE_PROXY_OLLAMA_URL"] == f"http://{environ['SLUICE_SIMULATOR_LISTEN']}"
    assert plan.environ["SLUICE_PROXY_PERMITS"] == plan.environ["SLUICE_SIMULATOR_NUM_PARALLEL"] == "8"


def test_a_model_server_that_answers_is_used_and_the_simulator_s_port_does_not_matter(environ: dict[str, str]) -> None:
    with ollama() as url, socket.create_server(("127.0.0.1", 0)) as other:
        plan = Plan.of(
            {
                **environ,
                "SLUICE_PROXY_OLLAMA_URL": url,
                "SLUICE_SIMULATOR_LISTEN": f"127.0.0.1:{other.getsockname()[1]}",
            }
        )

    assert list(plan.modules) == ["proxy", "gateway"]
    assert plan.environ["SLUICE_PROXY_OLLAMA_URL"] == url
    assert "SLUICE_PROXY_PERMITS" not in plan.environ


def test_the_gateway_is_told_where_the_proxy_listens_and_both_to_end_soon(environ: dict[str, str]) -> None:
    plan = Plan.of(environ)

    assert plan.environ["SLUICE_GATEWAY_PROXY_URL"] == f"http://{environ['SLUICE_PROXY_LISTEN']}"
    assert plan.environ["SLUICE_GATEWAY_DRAIN_S"] == plan.environ["SLUICE_PROXY_DRAIN_S"] == "1"


def test_what_the_user_has_set_stays(environ: dict[str, str]) -> None:
    chosen = {
        "SLUICE_PROXY_PERMITS": "3",
        "SLUICE_PROXY_DRAIN_S": "0",
        "SLUICE_GATEWAY_PROXY_URL": "http://elsewhere:1",
        "SLUICE_LOG_FORMAT": "json",
        "PATH": "/bin",
    }

    assert Plan.of({**environ, **chosen}).environ.items() >= chosen.items()


@pytest.mark.parametrize("name", LISTEN)
def test_a_taken_port_is_told_with_its_variable(environ: dict[str, str], name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        environ[name] = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(CannotRun, match=f"cannot listen on {environ[name]}.* running already.* set {name}"):
            Plan.of(environ)


@pytest.mark.parametrize(("name", "value"), [("SLUICE_PROXY_LISTEN", "8080"), ("SLUICE_PROXY_OLLAMA_URL", "x")])
def test_an_address_that_is_none_is_told_with_its_variable(environ: dict[str, str], name: str, value: str) -> None:
    with pytest.raises(CannotRun, match=f"^{name}: expected"):
        Plan.of({**environ, name: value})


def test_a_port_that_nobody_can_know_beforehand_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(CannotRun, match="needs a port that it can tell you"):
        Plan.of({**environ, "SLUICE_GATEWAY_LISTEN": "127.0.0.1:0"})


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


def test_the_banner_says_plainly_that_the_words_are_simulated(environ: dict[str, str]) -> None:
    text = banner(Plan.of(environ))

    assert f"No Ollama answers at {environ['SLUICE_PROXY_OLLAMA_URL']}" in text
    assert "the simulator's, not a model's" in text


def test_a_model_server_without_models_is_told_how_to_get_one(environ: dict[str, str]) -> None:
    with ollama() as url:
        text = banner(Plan.of({**environ, "SLUICE_PROXY_OLLAMA_URL": url}))

    assert "ollama pull" in text


@pytest.mark.parametrize("package", ["proxy", "gateway", "services.simulator"])
def test_the_addresses_are_those_that_the_processes_take_by_default(package: str) -> None:
    defaults = {row.name: row.default for row in settings_of(package) if row.name.endswith("LISTEN")}

    assert {name: str(LISTEN[name]) for name in defaults} == defaults
