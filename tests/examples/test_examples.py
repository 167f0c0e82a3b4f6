"""The examples do what they say, against the chain as it runs."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from proxy.settings import ProxySettings
from services.runtime.settings import ProcessSettings, describe
from tests.behaviour.tcp_relay import relay_to
from tests.chain import ROOT, Chain, running_chain
from tests.eventually import eventually, soon
from tests.machine import needs

EXAMPLES = ROOT / "examples"
ASKED = "sim:tokens=60,rate=40"


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    # the examples name no model where they can: the one that is listed first is meant, and says sixty tokens
    with running_chain(simulator={"SCRIPT": "tokens=60,rate=40"}, gateway={"HOSTS": "chat.example.org"}) as chain:
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


def text_of_the_newest_answer(chain: Chain) -> str:
    line = eventually(lambda: chain.proxy.events("stream.finished"), "a stream has finished")[-1]
    _, page = chain.gateway.get(f"/api/chat/stream/{line['stream_id']}", {"Accept": "application/json"})
    text: str = json.loads(page)["text"]
    return text


def test_ollamas_own_client_prints_an_answer_through_the_proxy(chain: Chain) -> None:
    command = [sys.executable, str(EXAMPLES / "ollama_client.py"), ASKED, "hi", chain.proxy.url]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout == text_of_the_newest_answer(chain)
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


@contextlib.contextmanager
def nginx(tmp_path: Path, gateway_port: int) -> Iterator[str]:
    """Run nginx on a socket of its own, with the example's server block but for its TLS."""
    where = tmp_path / "nginx.sock"
    block = (EXAMPLES / "nginx.conf").read_text()
    block = re.sub(r"listen 8443 ssl;", f"listen unix:{where};", re.sub(r"\s*ssl_certificate\S* .*;", "", block))
    block = block.replace("127.0.0.1:3001", f"127.0.0.1:{gateway_port}")
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;\n{block}}}\n"
    )
    process = subprocess.Popen(["nginx", "-e", "stderr", "-p", str(tmp_path), "-c", str(config)])
    try:
        eventually(where.exists, "nginx listens")
        yield str(where)
    finally:
        process.terminate()
        process.wait()


@needs("nginx")
async def test_behind_nginx_as_in_the_example_a_token_is_read_while_the_answer_is_still_being_made(
    chain: Chain, tmp_path: Path
) -> None:
    body = json.dumps({"model": "sim:tokens=40,rate=20", "message": "hi"})
    with nginx(tmp_path, chain.gateway.port) as where:
        reader, writer = await asyncio.open_unix_connection(where)
        head = f"POST /api/chat/stream HTTP/1.1\r\nHost: chat.example.org\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Content-Type: application/json\r\n\r\n{body}".encode())
        await reader.readuntil(b"event: token\n")
        listed = json.loads(chain.proxy.get("/api/streams")[1])["streams"]
        finished = await reader.readuntil(b"event: done\n")
        writer.close()

    assert [one["status"] for one in listed] == ["streaming"]
    assert finished.count(b"event: token\n") > 10
    await soon(lambda: json.loads(chain.proxy.get("/api/streams")[1])["streams"] == [], "it is over")
