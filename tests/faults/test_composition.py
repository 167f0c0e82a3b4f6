"""A run is its number: the same again, and over many numbers everything that there is."""

from itertools import groupby

from tests.faults.composition import BATCH, Disaster, Door, Way, batch, composition, disaster_of
from tests.faults.hop_fault import Bend, RequestId
from tests.faults.model_faults import BROKEN, HARMLESS, SOUND

MANY = [run for first in range(0, 200 * BATCH, BATCH) for run in batch(first, BATCH)]


def test_a_number_is_the_same_run_alone_and_in_its_batch() -> None:
    alone = [batch(seed, 1)[0] for seed in range(75, 125)]

    assert alone == [run for run in MANY if 75 <= run.seed < 125]


def test_ten_thousand_runs_meet_every_fault_way_door_and_disaster() -> None:
    assert {run.fault.script for run in MANY} == {row.script for row in (*SOUND, *HARMLESS, *BROKEN)}
    assert {run.plan.way for run in MANY} == set(Way)
    assert {run.door for run in MANY} == set(Door)
    assert {run.hop.bend for run in MANY if run.hop} == set(Bend)
    assert {run.disaster for run in MANY} == set(Disaster)


def test_a_batch_shares_one_disaster_and_nothing_else_but_its_waiting_line() -> None:
    for _, runs in groupby(MANY, lambda run: run.seed // BATCH):
        together = list(runs)
        apart = [run.model for run in together if not run.in_line]
        assert len({run.disaster for run in together}) == 1
        assert len(set(apart)) == len(apart)


def test_every_name_fits_and_every_id_is_read_back() -> None:
    assert max(len(run.model) for run in MANY) <= 256
    assert all(RequestId.read(run.request_id) == RequestId(run.seed, run.hop) for run in MANY)
    assert all(8 <= len(run.request_id) <= 64 for run in MANY)
    assert RequestId.read("not-a-run-of-ours") is None


def test_a_soak_has_few_faults_and_no_disasters() -> None:
    runs = [run for first in range(0, 200 * BATCH, BATCH) for run in batch(first, BATCH, faulty=0.01, disasters=False)]
    faulty = [run for run in runs if run.fault not in SOUND or run.plan.way is not Way.READ or run.hop]

    assert 0 < len(faulty) <= 0.02 * len(runs)
    assert {run.disaster for run in runs} == {Disaster.NONE}


def test_what_was_said_first_is_thinking_then_text() -> None:
    run = next(run for run in MANY if run.thoughts and len(run.tokens) > 1)
    thinking = "".join(run.thoughts)

    assert run.first(0) == ("", "")
    assert run.first(len(run.thoughts)) == (thinking, "")
    assert run.first(len(run.thoughts) + 1) == (thinking, run.tokens[0])
    assert f"{run.seed}" in str(run)


def test_a_disaster_is_the_batch_s() -> None:
    seed = next(seed for seed in range(0, 5000, BATCH) if disaster_of(seed) is Disaster.GATEWAY_KILLED)

    assert {disaster_of(seed + number) for number in range(BATCH)} == {Disaster.GATEWAY_KILLED}
    assert composition(seed + 3, disaster_of(seed)).disaster.is_of_a_gateway
