"""Programs that make a list of calls by somebody's client: each is started once, all beside each other.

They wait more than they compute: for a slow model, for what the proxy asks again, for what they ask again themselves.
"""

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pytest

TIMEOUT_S: Final = 110.0
"""Ten seconds where nothing else runs: eight interpreters read their packages at once."""
AT_MOST: Final = pytest.mark.timeout(TIMEOUT_S + 10)
"""For the tests of a module that waits for them."""
Made = Callable[[str], list[dict[str, Any]]]
Making = Mapping[str, Future[list[dict[str, Any]]]]


def made(command: Sequence[str], calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Run a program, and return what its client made of the calls."""
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stderr
    told: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("[{") :])  # some say more on their own
    return told


@contextlib.contextmanager
def beside_each_other(clients: Iterable[str], make: Made) -> Iterator[Making]:
    """Let all ``clients`` make their calls; one that is not there skips whoever asks for what it made."""
    names = list(clients)
    with ThreadPoolExecutor(len(names)) as pool:
        yield {client: pool.submit(make, client) for client in names}
