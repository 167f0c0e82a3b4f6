"""However a chain ends, all of its processes end: two tiny services stand for the servers."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.deploy.chain_process import ChainProcess

Start = Callable[..., ChainProcess]
TINY = "tests.runtime.tiny_service"
DEAF = "tests.deploy.deaf"


@pytest.fixture
def start() -> Iterator[Start]:
    chains: list[ChainProcess] = []

    def started(first: str = TINY, second: str = TINY) -> ChainProcess:
        command = [sys.executable, "-m", "tests.deploy.tiny_chain", first, second]
        chains.append(ChainProcess(command, {}))
        return chains[-1]

    yield started
    for chain in chains:
        chain.kill()


def test_ctrl_c_ends_all_with_0(start: Start) -> None:
    chain = start()
    chain.until('"listening"', times=2)

    chain.interrupt()

    assert chain.ended() == 0
    assert len(chain.children) == 2
    assert chain.left() == []


def test_a_sigterm_to_the_first_process_alone_ends_all(start: Start) -> None:
    chain = start()
    chain.until('"listening"', times=2)

    chain.terminate()

    assert chain.ended() == 0
    assert chain.left() == []


def test_the_end_of_the_terminal_ends_all(start: Start) -> None:
    chain = start()
    chain.until('"listening"', times=2)

    chain.interrupt(signal.SIGHUP)

    assert chain.ended() == 0
    assert chain.left() == []


def test_a_process_that_dies_takes_the_others_with_it_and_the_exit_is_not_0(start: Start) -> None:
    chain = start()
    chain.until('"listening"', times=2)

    os.kill(chain.children[0], signal.SIGKILL)

    assert chain.ended() != 0
    assert chain.left() == []


def test_a_process_that_ends_well_by_itself_is_a_failure_too(start: Start) -> None:
    chain = start(second="this")

    assert chain.ended() == 1
    assert chain.left() == []


def test_ctrl_c_while_the_processes_start_ends_all(start: Start) -> None:
    chain = start()
    chain.until("started")

    chain.interrupt()

    assert chain.ended() == 0
    assert chain.left() == []


@pytest.mark.parametrize("other", [TINY, DEAF])
@pytest.mark.clock
def test_a_process_that_will_not_end_is_killed_before_three_seconds_are_over(start: Start, other: str) -> None:
    chain = start(other, DEAF)
    chain.until("deaf to signals", times=2 if other == DEAF else 1)

    chain.interrupt()
    began = time.monotonic()

    assert chain.ended() == 0
    assert time.monotonic() - began < 3
    assert chain.left() == []


def test_a_terminal_that_takes_nothing_more_does_not_keep_the_processes_alive(start: Start) -> None:
    """Ctrl-S, or a pager that is not scrolled: nothing can be written, and the end still comes."""
    chain = start(second="tests.deploy.talker")
    chain.until("word")
    chain.stalls()

    chain.interrupt()

    assert chain.ended_unread() == 0
    assert chain.left() == []


def test_a_reader_that_goes_away_ends_all(start: Start) -> None:
    chain = start(second="tests.deploy.talker")
    chain.until("word")

    chain.stop_reading()

    assert chain.ended() == 0
    assert chain.left() == []
