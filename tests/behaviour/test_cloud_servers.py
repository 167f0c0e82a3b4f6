"""A cloud server: who may run up its bill, and what is asked where there is nothing else."""

import asyncio
import json
import ssl
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.behaviour.several_servers import ModelServer, a_gateway, a_proxy, a_scene, serving, spoken
from tests.machine import needs
from tests.reader import Client


async def look_of(client: Client) -> None:
    """Return when a gateway has looked at its proxy."""
    async with asyncio.timeout(20):
        while (await client.get("/readyz")).status != 200:  # noqa: ASYNC110 another server's state
            await asyncio.sleep(0.05)


@needs("openssl")
@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False)])
async def test_a_gateway_without_keys_that_others_can_reach_warns_of_an_open_cheque(
    tmp_path: Path, certificate: tuple[Path, ssl.SSLContext], host: str, *, warns: bool
) -> None:
    with capture_logs() as lines:
        async with (
            a_scene(tmp_path, certificate) as scene,
            a_gateway(scene.proxy.url, host=host) as url,
            Client(url) as client,
        ):
            await look_of(client)
            page = json.loads((await client.get("/health")).body)

    assert [line["log_level"] for line in lines if line["event"] == "cloud.open_cheque"] == ["warning"] * warns
    assert ("warning" in page) is warns


async def test_where_only_a_cloud_server_is_asked_what_it_calls_any_model_is_the_default(tmp_path: Path) -> None:
    cloud = ModelServer(spoken("yes"))
    async with serving(cloud):
        text = f"""
[[server]]
name = "vllm"
kind = "openai"
url = "http://127.0.0.1:{cloud.port}/v1"
models = {{ "*" = "Qwen/Qwen3-32B" }}
[chain]
default = ["vllm"]
"""
        async with a_proxy(tmp_path / "sluice.toml", text) as proxy, a_gateway(proxy.url) as url, Client(url) as client:
            models = json.loads((await client.get("/api/models")).body)["models"]
            answer = await client.ask("/api/chat/stream", {"message": "hi"})

    assert [(model["name"], model["default"], model["servers"]) for model in models] == [
        ("Qwen/Qwen3-32B", True, ["vllm"])
    ]
    assert (answer.text, cloud.questions()[0].body["model"]) == ("yes", "Qwen/Qwen3-32B")
