"""One chain for every client, and the table of what they made of it (``pytest -v tests/clients`` prints it)."""

from collections.abc import Iterator

import pytest

from tests.chain import Chain, running_chain
from tests.clients.outcome import Row, table

_ROWS = pytest.StashKey[list[Row]]()


@pytest.fixture(scope="package")
def chain() -> Iterator[Chain]:
    simulator = {"SCRIPT": "rate=0,pace=0", "NUM_PARALLEL": "64"}
    with running_chain(simulator=simulator) as chain:
        yield chain


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> list[Row]:
    """The table's lines, for tests to add to."""
    return pytestconfig.stash.setdefault(_ROWS, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, where details are asked for."""
    rows = config.stash.get(_ROWS, [])
    if rows and config.get_verbosity() > 0:
        terminalreporter.section("client calls")
        for line in table(rows):
            terminalreporter.write_line(line)
