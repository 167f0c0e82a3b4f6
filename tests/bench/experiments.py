"""The experiments of the short form: each asks one contender in one way and returns figures by name.

A figure of one hop is named after it: `token_cpu_us.200`, `token_cpu_us.200.gateway`. All that are about tokens are
paced at PACE tokens a second and stream unless they say otherwise.
"""

from collections.abc import Mapping
from typing import Final

from tests.bench.contender import Contender
from tests.bench.load import Load
from tests.bench.stage import Experiment, Figures, Stage, by_hop
from tests.bench.tally import Tally

PACE: Final = 50
SLACK_S: Final = 0.5
HEADROOM: Final = 5


def warm_up(stage: Stage, contender: Contender) -> None:
    """Ask a few times, so that what is done once is done."""
    stage.run(contender, Load(streams=4, requests=25))


def paced(streams: int, *, window_ms: int = 4000, probe_ms: int = 2500) -> Experiment:
    """Streams at the pace of a good model: cost, delay and gaps in a window, and who asks meanwhile."""

    def experiment(stage: Stage, contender: Contender) -> Figures:
        phases = (("settle", 500), ("window", window_ms), ("probe", probe_ms))
        open_ms = max(500, streams * 10)
        tokens = int(PACE * ((open_ms + sum(length for _, length in phases)) / 1000 + SLACK_S))
        ran = stage.run(contender, Load(streams=streams, tokens=tokens, rate=PACE, open_ms=open_ms, phases=phases))
        window, beside = ran["window"], f"{streams}"
        return {
            **by_hop(f"token_cpu_us.{beside}", contender, window, window.tokens),
            f"delay_ms.{beside}.p50": window.delay_us.p50 / 1e3,
            f"delay_ms.{beside}.p99": window.delay_us.p99 / 1e3,
            f"gap_ms.{beside}.p99": window.gap_us.p99 / 1e3,
            f"added_ms.opening.{beside}.p50": ran["open"].added_us.p50 / 1e3,
            f"added_ms.opening.{beside}.p99": ran["open"].added_us.p99 / 1e3,
            f"added_ms.beside.{beside}.p50": ran["probe"].added_us.p50 / 1e3,
            f"added_ms.beside.{beside}.p99": ran["probe"].added_us.p99 / 1e3,
            f"busy.{beside}": core_share(window, window.cpu_us(contender.pids)),
            f"busy.{beside}.source": core_share(window, window.cpu_us([stage.model_server.pid])),
        }

    return experiment


def alone(stage: Stage, contender: Contender) -> Figures:
    """One client after the other, with and without 20 ms in between: the first token's way through idle servers."""
    figures: Figures = {}
    for name, load in (("back_to_back", Load(requests=300)), ("pausing", Load(requests=100, pause_ms=20))):
        whole = stage.run(contender, load)["whole"]
        figures[f"added_ms.{name}.p50"] = whole.added_us.p50 / 1e3
        figures[f"added_ms.{name}.p99"] = whole.added_us.p99 / 1e3
    return figures


def requests(stage: Stage, contender: Contender) -> Figures:
    """Eight clients without a pause, answers of two tokens: what a request costs."""
    whole = stage.run(contender, Load(streams=8, requests=100))["whole"]
    return {
        **by_hop("request_cpu_ms", contender, whole, whole.asked * 1e3),
        "requests_per_s": whole.asked / whole.seconds,
    }


def memory(streams: int) -> Experiment:
    """Streams that wait for their first token: what each holds. Wants a contender that has just been started."""

    def experiment(stage: Stage, contender: Contender) -> Figures:
        if not contender.hops:
            return {}
        phases = (("settle", 1500), ("held", 100))
        ran = stage.run(contender, Load(streams=streams, wait_ms=60_000, open_ms=streams * 2, phases=phases, cut=1))
        held, before = ran["held"], ran["open"]
        hops = {"": contender.pids, **{f".{name}": pids for name, pids in contender.hops.items()}}
        return {f"resident_kib{hop}": held.growth_kib(pids, since=before) / streams for hop, pids in hops.items()}

    return experiment


def firehose(stage: Stage, contender: Contender) -> Figures:
    """Eight streams as fast as they are taken: tokens that a core carries; of two hops the slower one counts."""
    whole = stage.run(contender, Load(streams=8, tokens=20_000))["whole"]
    costs = {name: whole.cpu_us(pids) / whole.tokens / 1e6 for name, pids in contender.hops.items()}
    figures = {f"firehose_tokens_per_core_s.{name}": 1 / cost_s for name, cost_s in costs.items()}
    slower = {"firehose_tokens_per_core_s": min(figures.values())} if figures else {}
    return {**slower, **figures, "firehose_tokens_per_s": whole.tokens / whole.seconds}


def leaving(stage: Stage, contender: Contender) -> Figures:
    """Clients that go: how long until the model server's socket is closed, in prefill and in decode."""
    figures: Figures = {}
    streams, times = 10, 10
    waiting = Load(streams=streams, requests=times, wait_ms=20_000, leave_ms=150, open_ms=150)
    reading = Load(streams=streams, requests=times, tokens=5000, rate=PACE, leave_tokens=5, open_ms=150)
    for name, load in (("prefill", waiting), ("decode", reading)):
        ran = stage.run(contender, load)
        gone = stage.model_server.gone_ns(streams * times)
        took = sorted((gone[stream] - left) / 1e6 for stream, left in ran.left_ns.items())
        figures[f"gone_ms.{name}.p50"] = took[len(took) // 2]
        figures[f"gone_ms.{name}.p99"] = took[int(len(took) * 0.99)]
    return figures


def headroom(stage: Stage, contender: Contender) -> Figures:
    """Five times the tokens of 200 paced streams; direct, it shows that what measures is not what is measured."""
    if contender.hops:
        return {}
    phases = (("settle", 500), ("window", 2000))
    load = Load(streams=200, tokens=HEADROOM * PACE * 4, rate=HEADROOM * PACE, open_ms=500, phases=phases, cut=1)
    ran = stage.run(contender, load)
    window, due = ran["window"], 200 * HEADROOM * PACE * ran["window"].seconds
    return {
        "headroom.kept": window.tokens / due,
        "headroom.delay_ms.p99": window.delay_us.p99 / 1e3,
        "headroom.source_core": core_share(window, window.cpu_us([stage.model_server.pid])),
    }


def core_share(tally: Tally, cpu_us: float) -> float:
    """Return what was used as a share of a core."""
    return cpu_us / tally.seconds / 1e6


SHORT: Final[Mapping[str, Experiment]] = {
    "paced": paced(200),
    "alone": alone,
    "requests": requests,
    "firehose": firehose,
    "leaving": leaving,
    "headroom": headroom,
}
FRESH: Final[Mapping[str, Experiment]] = {"memory": memory(1000)}
"""These want servers that have just been started."""
