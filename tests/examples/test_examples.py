"""The examples do what they say, against the chain as it runs."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.settings import GatewaySettings
from proxy.settings import ProxySettings
from services.runtime.settings import ProcessSettings, describe
from tests.behaviour.tcp_relay import relay_to
from tests.chain import ROOT, Chain, running_chain
from tests.eventually import eventually

EXAMPLES = ROOT / "examples"
ASKED = "sim:tokens=60,rate=40"


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    # the examples name no model where they can: the one that is listed first is meant, whose answer outlasts two cuts
    with running_chain(simulator={"SCRIPT": "tokens=160,rate=40"}) as chain:
        yield chain


async def test_the_client_that_resumes_prints_the_whole_answer_though_its_connection_is_cut_twice(
    chain: Chain,
) -> None:
    async with relay_to(chain.gateway.port) as cable:
        example = await asyncio.create_subprocess_exec(
            *(sys.executable, str(EXAMPLES / "resume.py"), "hi", cable.url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert example.stdout is not None
        assert example.stderr is not None
        begun = await example.stdout.readexactly(20)
        cable.cut()
        told = [await example.stderr.readline()]
        begun += await example.stdout.readexactly(20)
        cable.cut(reset=True)
        rest, said = await example.communicate()

    assert example.returncode == 0
    assert json.loads(said.split(b"\n")[-2])["type"] == "done"
    assert b"".join([*told, said]).count(b"coming back after") == 2
    assert (begun + rest).decode() == text_of_the_newest_answer(chain) + "\n"


def text_of_the_newest_answer(chain: Chain, after: int = 0) -> str:
    """Return the text of the last answer, once more than ``after`` have finished."""
    line = eventually(lambda: chain.proxy.events("stream.finished")[after:], "a stream has finished")[-1]
    _, page = chain.gateway.get(f"/api/chat/stream/{line['stream_id']}", {"Accept": "application/json"})
    text: str = json.loads(page)["text"]
    return text


def test_ollamas_own_client_prints_an_answer_through_the_proxy(chain: Chain) -> None:
    command = [sys.executable, str(EXAMPLES / "ollama_client.py"), ASKED, "hi", chain.proxy.url]
    before = len(chain.proxy.events("stream.finished"))

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == text_of_the_newest_answer(chain, before)
    assert done.stderr == "\n[stop, 61 tokens]\n"  # with the one that ends it


@pytest.mark.parametrize(("unit", "settings"), [("proxy", ProxySettings), ("gateway", GatewaySettings)])
def test_a_systemd_unit_starts_our_module_with_settings_that_exist_and_waits_longer_than_its_drain(
    unit: str, settings: type[ProcessSettings]
) -> None:
    lines = (EXAMPLES / f"sluice-{unit}.service").read_text().split("\n")
    known = {row.name for row in describe(settings)}

    assert f"ExecStart=/opt/sluice/.venv/bin/python -m {unit}" in lines
    assert {name for line in lines for name in re.findall(r"^Environment=(\w+)=", line)} <= known
    stop_s = float(re.findall(r"^TimeoutStopSec=(\d+)$", "\n".join(lines), re.MULTILINE)[0])
    assert stop_s > settings.model_fields["drain_s"].default + 1
