"""Every contender carries every token of an answer, and its hops are the processes that do."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.source import ROOT
from tests.bench.contender import NGINX, CannotStart, Contender, process, wait_for_answer
from tests.bench.cores import Cores
from tests.bench.load import Load
from tests.bench.model_server import ModelServer
from tests.bench.nginx import nginx_program, nginx_twice
from tests.bench.programs import build
from tests.bench.sluice import Checkout, sluice
from tests.bench.stage import Stage, by_hop
from tests.bench.ways import WAYS
from tests.machine import lacking, needs

ANYWHERE = Cores.of([0])
LOAD = Load(streams=10, requests=2, tokens=50)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    programs = build(tmp_path_factory.mktemp("bench"))
    with ModelServer(programs, ANYWHERE) as running:
        yield Stage(programs, ANYWHERE, running)


def carried(stage: Stage, contender: Contender) -> None:
    whole = stage.run(contender, LOAD)["whole"]

    assert (whole.whole, whole.tokens) == (20, 1000)
    assert whole.added_us.p50 > 0
    assert all(whole.cpu_us(pids) > 0 for pids in contender.hops.values())
    assert [*by_hop("cost", contender, whole, whole.tokens)] == ["cost", *(f"cost.{hop}" for hop in contender.hops)]


@needs("cc")
def test_the_chain_carries_every_token_from_the_bench_s_model_server(stage: Stage, tmp_path: Path) -> None:
    checkout = Checkout(ROOT, sys.executable)
    with sluice("Sluice", checkout, stage.model_server.port, ANYWHERE, tmp_path) as contender:
        carried(stage, contender)

    assert [*contender.hops] == ["gateway", "proxy"]
    assert b"stream.finished" in (tmp_path / "Sluice-proxy.log").read_bytes()


@needs("cc")
@pytest.mark.parametrize("way", WAYS)
def test_a_way_of_its_own_carries_every_token_as_well(way: str, stage: Stage, tmp_path: Path) -> None:
    if way == "valkey" and lacking("valkey"):
        pytest.skip(lacking("valkey"))
    checkout = Checkout(ROOT, sys.executable, WAYS[way])
    with sluice(way, checkout, stage.model_server.port, ANYWHERE, tmp_path) as contender:
        carried(stage, contender)


@needs("cc", "nginx")
def test_two_nginx_carry_every_token(stage: Stage, tmp_path: Path) -> None:
    program = nginx_program()
    assert program is not None
    with nginx_twice(program, stage.model_server.port, ANYWHERE, tmp_path) as contender:
        carried(stage, contender)

    assert contender.name == NGINX
    assert [len(pids) for pids in contender.hops.values()] == [2, 2]  # a master and its worker


def test_a_contender_that_does_not_come_up_is_told_with_its_own_words(tmp_path: Path) -> None:
    log = tmp_path / "said.log"
    command = [sys.executable, "-c", "print('no room'); raise SystemExit(3)"]

    with process(command, log=log, cwd=tmp_path) as child, pytest.raises(CannotStart, match="no room"):
        wait_for_answer("http://127.0.0.1:9/", child, log)
