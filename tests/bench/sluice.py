"""Our contender: gateway and proxy with all that they do in production: logs to a file, metrics scraped."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.contender import Contender, clean_environ, process, wait_for_answer
from tests.bench.cores import Cores, pinned
from tests.bench.ways import Way, plain
from tests.ports import free_ports

# As an operator must set them for so many readers; the rest stays as it comes.
PROXY: Final[Mapping[str, str]] = {"PERMITS": "1024", "DRAIN_S": "1"}
GATEWAY: Final[Mapping[str, str]] = {"MAX_STREAMS": "2000", "MAX_OUTPUT_TOKENS": "1000000", "DRAIN_S": "1"}


@dataclass(frozen=True)
class Checkout:
    """Whose source runs, on which interpreter, and how it is set and asked."""

    root: Path
    python: str
    in_a_way: Callable[[Path], AbstractContextManager[Way]] = plain


@contextlib.contextmanager
def sluice(name: str, checkout: Checkout, model_server: int, cores: Cores, folder: Path) -> Iterator[Contender]:
    """Run gateway and proxy of a checkout."""
    names = ("GATEWAY", "GATEWAY_METRICS", "PROXY", "PROXY_METRICS")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with contextlib.ExitStack() as stack:
        way = stack.enter_context(checkout.in_a_way(folder))
        environ = _environ(ports, model_server, way.settings)
        pids = {}
        for module, core in zip(("proxy", "gateway"), reversed(cores.hops), strict=True):
            log = folder / f"{name}-{module}.log"
            with pinned(core):
                command = [checkout.python, "-m", module]
                child = stack.enter_context(process(command, log=log, cwd=checkout.root, environ=environ))
            wait_for_answer(f"http://127.0.0.1:{ports[module.upper()]}/readyz", child, log)
            pids[module] = [child.pid]
        yield Contender(
            name,
            ports["GATEWAY"],
            way.path,
            way.body,
            hops={"gateway": pids["gateway"], "proxy": pids["proxy"]},
            metrics=[f"http://127.0.0.1:{ports[which]}/metrics" for which in ("GATEWAY_METRICS", "PROXY_METRICS")],
            headers=way.headers,
        )


def _environ(ports: Mapping[str, int], model_server: int, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of both servers.

    Args:
        more: settings of the gateway, without their prefix.
    """
    return {
        **clean_environ(),
        "SLUICE_LOG_FORMAT": "json",
        **{f"SLUICE_{setting}_LISTEN": f"127.0.0.1:{port}" for setting, port in ports.items()},
        "SLUICE_PROXY_OLLAMA_URL": f"http://127.0.0.1:{model_server}",
        "SLUICE_GATEWAY_PROXY_URL": f"http://127.0.0.1:{ports['PROXY']}",
        **{f"SLUICE_PROXY_{setting}": value for setting, value in PROXY.items()},
        **{f"SLUICE_GATEWAY_{setting}": value for setting, value in {**GATEWAY, **more}.items()},
    }
