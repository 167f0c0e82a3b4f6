import json
from typing import Any

from tests.bench.tally import Percentiles, Run, moments

NONE = {"count": 0, "p50": 0.0, "p90": 0.0, "p99": 0.0, "max": 0.0}
FEW = {"count": 2, "p50": 1.0, "p90": 2.0, "p99": 2.0, "max": 2.0}


def tally(**more: Any) -> dict[str, Any]:
    plain = dict.fromkeys(("bytes", "tokens", "asked", "whole", "broken", "refused", "left"), 0)
    return {
        "seconds": 1.5,
        **plain,
        "cpu_ns": {"11": 2000, "12": 3000},
        "resident_kib": {"11": [100, 150], "12": [10, 10]},
        **dict.fromkeys(("delay_us", "gap_us", "first_us", "added_us"), NONE),
        **more,
    }


def test_a_report_is_read_into_phases_and_moments() -> None:
    told = {"streams": 3, "finished": 2, "own_cpu_ns": 7, "phases": {"open": tally(), "whole": tally(delay_us=FEW)}}

    run = Run.of(json.dumps(told), "left 1 5000\nsomething else\nleft 2 6000\n")

    assert (run.unfinished, run.own_cpu_ns, run.left_ns) == (1, 7, {1: 5000, 2: 6000})
    assert run["whole"].delay_us == Percentiles(2, 1.0, 2.0, 2.0, 2.0)
    assert (run["whole"].cpu_us([11, 12]), run["whole"].cpu_us([12])) == (5.0, 3.0)


def test_memory_is_counted_from_the_beginning_of_any_phase_before() -> None:
    told = {"open": tally(), "held": tally(resident_kib={"11": [150, 400], "12": [10, 30]})}
    run = Run.of(json.dumps({"streams": 1, "finished": 1, "own_cpu_ns": 0, "phases": told}), "")

    assert run["held"].growth_kib([11, 12]) == 270
    assert run["held"].growth_kib([11, 12], since=run["open"]) == 320


def test_a_line_that_is_about_something_else_is_no_moment() -> None:
    assert moments("port 80\ngone 4 123\n", "gone") == {4: 123}
