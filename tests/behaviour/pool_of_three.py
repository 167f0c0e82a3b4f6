"""Three simulators as one pool, the last of them ten times slower: who is asked, and what is loaded and driven out.

``python -m tests.behaviour.pool_of_three`` prints the tables.
"""

import asyncio
import contextlib
import json
import tempfile
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.behaviour.several_servers import NATIVE, Proxy, a_proxy
from tests.chain import Server
from tests.eventually import soon
from tests.reader import Client

NAMES: Final = ("fast1", "fast2", "slow")
FAST: Final = "tokens=10,rate=200"
SLOW: Final = "tokens=10,rate=20"
PERMITS: Final = 4


@dataclass
class Pool:
    """The simulators, by name, and a client of the proxy before them."""

    simulators: Mapping[str, Server]
    proxy: Proxy
    client: Client

    async def ask(self, model: str, times: int, *, together: int) -> Counter[str]:
        """Ask so often, so many at a time; return who answered how often."""
        shares: Counter[str] = Counter(dict.fromkeys(NAMES, 0))
        left = iter(range(times))

        async def reader() -> None:
            for _ in left:
                body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
                answer = await self.client.ask("/api/chat/stream", body, NATIVE)
                assert answer.end is not None
                shares[answer.end["served_by"]["server"]] += 1

        await asyncio.gather(*(reader() for _ in range(together)))
        return shares

    def loaded(self) -> dict[str, set[str]]:
        """Return what each has in memory."""
        return {name: in_memory(one) for name, one in self.simulators.items()}


def in_memory(simulator: Server) -> set[str]:
    """Return the models that it has loaded."""
    return {model["name"] for model in json.loads(simulator.get("/api/ps")[1])["models"]}


@contextlib.contextmanager
def three_simulators() -> Iterator[Mapping[str, Server]]:
    """Run them: processes of their own."""
    started: dict[str, Server] = {}
    try:
        for name in NAMES:
            script = SLOW if name == "slow" else FAST
            settings = {"LISTEN": "127.0.0.1:0", "SCRIPT": script, "NUM_PARALLEL": str(PERMITS)}
            environ = {f"SLUICE_SIMULATOR_{key}": value for key, value in settings.items()}
            started[name] = Server("services.simulator", environ)
        yield started
    finally:
        for one in started.values():
            one.stop()


@asynccontextmanager
async def a_pool_of(
    folder: Path, simulators: Mapping[str, Server], holds: Mapping[str, Sequence[str]]
) -> AsyncIterator[Pool]:
    """Run a proxy before them, each with those models in memory and no others."""
    for name, simulator in simulators.items():
        await asyncio.to_thread(_hold, simulator, holds[name])
    servers = "".join(
        f'[[server]]\nname = "{name}"\nkind = "ollama"\nurl = "{one.url}"\npermits = {PERMITS}\nkeep_warm_s = 300\n'
        for name, one in simulators.items()
    )
    order = ", ".join(f'"{name}"' for name in simulators)
    async with (
        a_proxy(folder / "sluice.toml", f"{servers}[chain]\ndefault = [[{order}]]\n") as proxy,
        Client(proxy.url) as client,
    ):
        shown = proxy.service.metrics.model_loaded
        await soon(
            lambda: {one.labels["server"] for one in next(iter(shown.collect())).samples} == {*NAMES},
            "all were looked at",
        )
        yield Pool(simulators, proxy, client)


def _hold(simulator: Server, models: Sequence[str]) -> None:
    """Have a simulator load those models, and unload all others."""
    unwanted = {name.removesuffix(":latest") for name in in_memory(simulator)} - {*models}
    for model, keep_alive in [*((one, 0) for one in unwanted), *((one, 300) for one in models)]:
        body = json.dumps({"model": model, "keep_alive": keep_alive, "stream": False}).encode()
        request = urllib.request.Request(simulator.url + "/api/generate", body)  # noqa: S310 ours
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 ours


@dataclass(frozen=True)
class Case:
    """What each holds, what is asked, how often, and how many ask at a time.

    Attributes:
        warm: a model that was asked for just before, so that it is kept where it is.
    """

    what: str
    holds: Mapping[str, Sequence[str]]
    model: str
    times: int
    together: int
    warm: str = ""


EVERYWHERE: Final = Case(
    "all have it in memory", {"fast1": ["sim"], "fast2": ["sim"], "slow": ["sim"]}, "sim", times=300, together=6
)
ONCE: Final = Case(
    "one has it in memory", {"fast1": ["sim"], "fast2": ["sim", "story"], "slow": ["sim"]}, "story", 40, 2
)
EMPTY: Final = Case("nobody has it, one is empty", {"fast1": ["sim"], "fast2": [], "slow": ["sim"]}, "thinker", 40, 2)
WARM: Final = Case(
    "nobody has it, two are kept warm",
    {"fast1": ["sim"], "fast2": ["story"], "slow": ["sim"]},
    "thinker",
    40,
    2,
    "sim",
)


@dataclass(frozen=True)
class Outcome:
    """Who answered how often, what was loaded where, and at how many a model that was there had to go."""

    shares: Mapping[str, int]
    loads: Mapping[str, set[str]]
    driven_out: int


async def outcome_of(folder: Path, simulators: Mapping[str, Server], case: Case) -> Outcome:
    """Ask as the case says."""
    async with a_pool_of(folder, simulators, case.holds) as pool:
        if case.warm:
            await pool.ask(case.warm, 12, together=PERMITS)
        before = pool.loaded()
        shares = await pool.ask(case.model, case.times, together=case.together)
        loads = {name: models - before[name] for name, models in pool.loaded().items() if models - before[name]}
    return Outcome(shares, loads, sum(bool(before[name]) for name in loads))


async def _main() -> None:
    print("| the model | holds before | asked | answered by | loads | driven out |")
    print("|---|---|---|---|---|---|")
    with three_simulators() as simulators, tempfile.TemporaryDirectory() as folder:
        for case in (EVERYWHERE, ONCE, EMPTY, WARM):
            out = await outcome_of(Path(folder), simulators, case)
            share = ", ".join(f"{name} {count} ({count / case.times:.1%})" for name, count in out.shares.items())
            held = "; ".join(f"{name}: {', '.join(models) or 'nothing'}" for name, models in case.holds.items())
            loads = ", ".join(f"{', '.join(models)} at {name}" for name, models in out.loads.items()) or "none"
            asked = f"{case.model}, {case.times} times, {case.together} at a time"
            print(f"| {case.what} | {held} | {asked} | {share} | {loads} | {out.driven_out} |")


if __name__ == "__main__":
    asyncio.run(_main())
