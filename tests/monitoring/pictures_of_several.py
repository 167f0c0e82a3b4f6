"""The pictures of rows G and H: ``python -m tests.monitoring.pictures_of_several``, which takes some three minutes.

Two people ask by their keys, one of them more often than hers may. Of two model servers in an order the first is away
for a while; the second speaks OpenAI's language, and is another chain of ours.
"""

import asyncio
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

from deploy.grafana.rows import ROWS
from tests.behaviour.keys_on_disk import KeysOnDisk, bearer
from tests.chain import GATEWAY_PROFILE, PROXY_PROFILE, Chain, Server, running_chain
from tests.eventually import eventually
from tests.monitoring.panels import Window
from tests.monitoring.pictures import draw, wait
from tests.monitoring.prometheus import running_prometheus
from tests.monitoring.traffic import SCRIPT, SERVED, meanwhile
from tests.ports import free_port
from tests.reader import Client

PICTURES: Final = {"dashboard-keys.png": ROWS[6:7], "dashboard-servers.png": ROWS[7:8]}
FILE: Final = """
[[server]]
name = "gpu"
kind = "ollama"
url = "http://127.0.0.1:{gpu}"
permits = 3

[[server]]
name = "cloud"
kind = "openai"
url = "{cloud}/v1"
key_env = "CLOUD_KEY"
models = {{ "*" = "sim" }}

[chain]
default = ["gpu", "cloud"]
"""
READERS: Final = 4
GOOD_S: Final = 40.0
AWAY_S: Final = 45.0
AGAIN_S: Final = 60.0


def environ(process: str, **settings: str) -> dict[str, str]:
    """Return what a server of ours is started with."""
    here = {"LISTEN": "127.0.0.1:0", "METRICS_LISTEN": "127.0.0.1:0"}
    profile = {"PROXY": PROXY_PROFILE, "GATEWAY": GATEWAY_PROFILE}[process]
    return {f"SLUICE_{process}_{name}": value for name, value in {**here, **profile, **settings}.items()}


def reading(gateway: Server, *keys: str) -> AbstractContextManager[None]:
    """Ask as the people of these keys do, each with as many readers, until the block ends."""
    return meanwhile(lambda stop: _all_read(gateway, keys, stop))


async def _all_read(gateway: Server, keys: tuple[str, ...], stop: threading.Event) -> None:
    async with Client(gateway.url) as client, asyncio.TaskGroup() as readers:
        for key in keys:
            for _ in range(READERS):
                readers.create_task(_read(client, key, stop))


async def _read(client: Client, key: str, stop: threading.Event) -> None:
    for model in itertools.cycle(SERVED):
        if stop.is_set():
            return
        answer = await client.ask("/api/chat/stream", {"model": model, "message": "and now?"}, bearer(key))
        if answer.status != 200:  # as one who presses the button again
            await asyncio.to_thread(stop.wait, 0.5)


@contextmanager
def started(folder: Path, gpu: int, cloud: Chain) -> Iterator[tuple[Chain, tuple[str, ...]]]:
    """Run a proxy of two model servers, and a gateway with two keys."""
    keys = KeysOnDisk(folder)
    people = (keys.add("Ada"), keys.add("Bob", requests_per_minute="30"))
    (folder / "sluice.toml").write_text(FILE.format(gpu=gpu, cloud=cloud.gateway.url))
    proxy_environ = environ("PROXY", CONFIG=str(folder / "sluice.toml")) | {"CLOUD_KEY": "of nobody"}
    proxy = Server("proxy", proxy_environ)
    gateway_environ = environ("GATEWAY", PROXY_URL=proxy.url, KEY_METRICS="true", **keys.settings)
    gateway = Server("gateway", gateway_environ)
    try:
        eventually(lambda: gateway.get("/readyz")[0] == 200, "the gateway is ready", within_s=20)
        yield Chain(cloud.simulator, proxy, gateway, gateway_environ, proxy_environ, []), people
    finally:
        gateway.stop()
        proxy.stop()


@contextmanager
def simulator(port: int) -> Iterator[Server]:
    """Run the first of the two."""
    server = Server(
        "services.simulator", {"SLUICE_SIMULATOR_LISTEN": f"127.0.0.1:{port}", "SLUICE_SIMULATOR_SCRIPT": SCRIPT}
    )
    try:
        yield server
    finally:
        server.stop()


def main() -> None:
    """Draw both."""
    gpu = free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_chain(simulator={"SCRIPT": SCRIPT}) as cloud,
        simulator(gpu) as first,
        started(Path(folder), gpu, cloud) as (chain, people),
        running_prometheus(Path(folder), chain) as prometheus,
    ):
        start = time.time()
        with reading(chain.gateway, *people):
            wait(GOOD_S)
            first.stop()
            wait(AWAY_S)
            with simulator(gpu):
                wait(AGAIN_S)
                draw(PICTURES, prometheus, Window(start, time.time()))


if __name__ == "__main__":
    main()
