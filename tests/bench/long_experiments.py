"""The experiments of the whole report, beside those of the short form."""

from collections.abc import Mapping
from typing import Final

from tests.bench.contender import Contender
from tests.bench.experiments import PACE, SHORT, core_share, paced
from tests.bench.load import Load
from tests.bench.stage import Experiment, Figures, Stage, by_hop

IDLE_STREAMS: Final = 500
LENGTHS: Final = (100, 1000, 10_000)
SWEEP: Final = (10, 50, 100, 500, 1000)  # and 200, in the short form


def idle(stage: Stage, contender: Contender) -> Figures:
    """Streams that wait for their first token: what keeping them costs, heartbeats and all."""
    if not contender.hops:
        return {}
    phases = (("settle", 2000), ("window", 10_000))
    ran = stage.run(contender, Load(streams=IDLE_STREAMS, wait_ms=60_000, open_ms=5000, phases=phases, cut=1))
    window = ran["window"]
    return by_hop("idle_cpu_ms_per_s", contender, window, window.seconds * 1e3)


def slow_reader(stage: Stage, contender: Contender) -> Figures:
    """One of 200 readers, of 1,000 tokens a second, stops reading: what the others notice, and what it holds.

    That stream is read at the same rate before, so that the model server does not speak more while it is not.
    """
    phases = (("settle", 1000), ("window", 5000), ("stall", 5000))
    load = Load(streams=200, tokens=PACE * 14, rate=PACE, stall_rate=1000, open_ms=2000, phases=phases)
    ran = stage.run(contender, load)
    before, during = ran["window"], ran["stall"]
    return {
        "slow_reader.before_ms.p99": before.delay_us.p99 / 1e3,
        "slow_reader.during_ms.p99": during.delay_us.p99 / 1e3,
        "slow_reader.p99_ratio": during.delay_us.p99 / before.delay_us.p99,
        "slow_reader.growth_kib": during.growth_kib(contender.pids) - before.growth_kib(contender.pids),
    }


def lengths(stage: Stage, contender: Contender) -> Figures:
    """Answers of 100 to 10,000 tokens at the same tokens a second in all: what a token costs in each."""
    if not contender.hops:
        return {}
    streams, rate, at_least_s = 20, 500, 5
    figures: Figures = {}
    for tokens in LENGTHS:
        requests = max(1, at_least_s * rate // tokens)
        load = Load(streams=streams, requests=requests, tokens=tokens, rate=rate, open_ms=200)
        whole = stage.run(contender, load)["whole"]
        figures |= by_hop(f"length_cpu_us.{tokens}", contender, whole, whole.tokens)
    shortest, longest = (figures[f"length_cpu_us.{tokens}"] for tokens in (LENGTHS[0], LENGTHS[-1]))
    return {**figures, "length_ratio": longest / shortest}


def long_answer(stage: Stage, contender: Contender) -> Figures:
    """One answer of 10,000 tokens at 1,000 a second, and one at the pace."""
    whole = stage.run(contender, Load(tokens=LENGTHS[-1], rate=1000))["whole"]
    window = stage.run(contender, Load(tokens=PACE * 11, rate=PACE, phases=(("settle", 500), ("window", 10_000))))[
        "window"
    ]
    return {
        "long.first_ms": whole.first_us.p50 / 1e3,
        "long.added_ms": whole.added_us.p50 / 1e3,
        "long.tokens_per_s": whole.tokens / whole.seconds,
        "long.growth_kib": whole.growth_kib(contender.pids),
        "long.core_share": core_share(window, window.cpu_us(contender.pids)),
    }


LONG: Final[Mapping[str, Experiment]] = {
    **SHORT,
    **{f"paced{streams}": paced(streams) for streams in SWEEP},
    "idle": idle,
    "slow_reader": slow_reader,
    "lengths": lengths,
    "long_answer": long_answer,
}
