"""Model server and load generator, in C and in Python, against each other: what they saw is what was asked for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.contender import Contender
from tests.bench.cores import Cores
from tests.bench.load import Load, LoadFailed, run
from tests.bench.model_server import ModelServer
from tests.bench.programs import CannotBuild, Programs, build, in_python
from tests.bench.tally import Run
from tests.machine import needs

ANYWHERE = Cores.of([0])


@pytest.fixture(scope="module", params=[pytest.param("C", marks=needs("cc")), "Python"])
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    return in_python() if request.param == "Python" else build(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def model_server(programs: Programs) -> Iterator[ModelServer]:
    with ModelServer(programs, ANYWHERE) as running:
        yield running


def ask(programs: Programs, model_server: ModelServer, load: Load, path: str = "/api/chat") -> Run:
    return run(programs, ANYWHERE, Contender("direct", model_server.port, path), load, [model_server.pid])


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_every_token_that_was_asked_for_comes_and_so_does_the_last_word(
    programs: Programs, model_server: ModelServer, path: str
) -> None:
    whole = ask(programs, model_server, Load(streams=5, requests=3, tokens=700), path)["whole"]

    assert (whole.asked, whole.whole, whole.tokens) == (15, 15, 15 * 700)
    assert (whole.delay_us.count, whole.added_us.count, whole.gap_us.count) == (10_500, 15, 15 * 699)


def test_a_paced_stream_keeps_its_pace_and_is_measured_in_its_phases(
    programs: Programs, model_server: ModelServer
) -> None:
    load = Load(streams=2, tokens=30, rate=100, phases=(("window", 100), ("probe", 50)))

    told = ask(programs, model_server, load)

    assert told["whole"].seconds >= 0.29  # the first token is due at once
    assert list(told.phases) == ["open", "window", "probe", "rest", "whole"]
    assert told["window"].tokens < told["whole"].tokens
    assert told["probe"].asked >= 1
    assert told["whole"].cpu_ns[model_server.pid] > 0


def test_a_reader_that_leaves_is_seen_by_the_model_server_in_prefill_and_in_decode(
    programs: Programs, model_server: ModelServer
) -> None:
    for load in (
        Load(streams=2, requests=2, wait_ms=60_000, leave_ms=20),
        Load(streams=2, requests=2, tokens=1000, rate=100, leave_tokens=2),
    ):
        model_server.forget()
        told = ask(programs, model_server, load)
        gone = model_server.gone_ns(4)

        assert told["whole"].left == 4
        assert gone.keys() == told.left_ns.keys() == {1, 2, 3, 4}
        assert all(gone[stream] > left for stream, left in told.left_ns.items())


def test_who_stalls_reads_nothing_and_leaves_and_the_others_read_on(
    programs: Programs, model_server: ModelServer
) -> None:
    load = Load(streams=3, tokens=40, rate=100, stall_rate=1000, phases=(("window", 100), ("stall", 100)))

    whole = ask(programs, model_server, load)["whole"]

    assert (whole.left, whole.whole) == (1, 2)
    assert 80 <= whole.tokens < 400  # those of the two, and of the third what came before it stalled


def test_all_are_cut_at_the_end_of_the_phases_if_that_was_ordered(
    programs: Programs, model_server: ModelServer
) -> None:
    whole = ask(programs, model_server, Load(streams=3, wait_ms=60_000, phases=(("held", 50),), cut=1))["whole"]

    assert (whole.asked, whole.left) == (3, 3)


def test_answers_that_are_refused_or_do_not_end_are_no_figures(programs: Programs, model_server: ModelServer) -> None:
    with pytest.raises(LoadFailed, match="1 were refused"):
        ask(programs, model_server, Load(), path="/nowhere")
    with pytest.raises(LoadFailed, match="1 did not end"):
        ask(programs, model_server, Load(wait_ms=60_000, deadline_ms=100))


def test_without_a_compiler_it_is_said_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotBuild, match="no C compiler"):
        build(tmp_path)
