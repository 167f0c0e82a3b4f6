"""`make run` as a person uses it: the printed commands are run as they were printed."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.plan import LISTEN
from tests.deploy.chain_process import ChainProcess
from tests.deploy.model_server import ollama
from tests.ports import free_ports

UP = "Ctrl-C stops everything."


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Free addresses, no model server, a simulator whose answers last a second and a half, and nobody's own chats."""
    free, *listened = free_ports(1 + len(LISTEN))
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(LISTEN, listened, strict=True)}
    nobody = f"http://127.0.0.1:{free}"
    kept = f"sqlite:///{tmp_path / 'conversations.db'}"
    others = {"SLUICE_PROXY_OLLAMA_URL": nobody, "SLUICE_SIMULATOR_SCRIPT": "rate=100"}
    return {**addresses, **others, "SLUICE_GATEWAY_DATABASE": kept}


@pytest.fixture
def chain(environ: dict[str, str]) -> Iterator[ChainProcess]:
    started = ChainProcess(["make", "run"], environ)
    yield started
    started.kill()


def printed_commands(output: str) -> list[str]:
    return [line.strip() for line in output.split("\n") if line.strip().startswith("curl ")]


def run(command: str) -> str:
    return subprocess.run(command, shell=True, capture_output=True, text=True, timeout=30, check=True).stdout  # noqa: S602 as printed


@pytest.mark.clock
def test_the_printed_curls_show_tokens_and_numbers_and_ctrl_c_leaves_nothing(chain: ChainProcess) -> None:
    through_both, proxy_alone, metrics = printed_commands(chain.until(UP))

    for answer in (run(through_both), run(proxy_alone)):
        assert answer.count("data: ") > 3
    numbers = run(metrics)
    assert "gen_ai_server_time_to_first_token_seconds_bucket" in numbers
    assert "llm_output_tokens_per_second_bucket" in numbers
    assert "the simulator's, not a model's" in chain.output

    chain.interrupt()
    began = time.monotonic()
    chain.ended()

    assert time.monotonic() - began < 3
    assert len(chain.children) == 4
    assert chain.left() == []


@pytest.mark.clock
def test_ctrl_c_in_the_middle_of_an_answer_ends_all_within_three_seconds(chain: ChainProcess) -> None:
    through_both = printed_commands(chain.until(UP))[0]

    with subprocess.Popen(through_both, shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as client:  # noqa: S602 as printed
        assert client.stdout is not None
        while b"event: token" not in client.stdout.readline():
            continue
        chain.interrupt()
        began = time.monotonic()
        chain.ended()

        assert time.monotonic() - began < 3
        assert chain.left() == []


def test_a_second_run_says_in_one_line_that_the_first_is_there_and_leaves_it_alone(
    chain: ChainProcess, environ: dict[str, str]
) -> None:
    through_both = printed_commands(chain.until(UP))[0]

    second = ChainProcess(["make", "--silent", "run"], environ)
    code = second.ended()

    assert code != 0
    ours = [line for line in second.output.split("\n") if line and not line.startswith("make")]
    assert len(ours) == 1
    assert "is the chain running already?" in ours[0]
    assert "data: " in run(through_both)


def test_a_process_that_dies_ends_the_chain_with_a_failure(chain: ChainProcess) -> None:
    chain.until(UP)

    subprocess.run(["kill", "-KILL", str(chain.children[-1])], check=True)

    assert chain.ended() != 0
    assert chain.left() == []


def test_a_model_server_that_answers_is_found_and_said(environ: dict[str, str]) -> None:
    with ollama("llama3.2") as url:
        chain = ChainProcess(["make", "run"], {**environ, "SLUICE_PROXY_OLLAMA_URL": url})
        try:
            output = chain.until(UP)
            chain.interrupt()
            chain.ended()
        finally:
            chain.kill()

    assert f"The words are those of the model server at {url}." in output
    assert json.loads(printed_commands(output)[1].split("'")[1])["model"] == "llama3.2"
    assert len(chain.children) == 3
