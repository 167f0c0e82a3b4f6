"""Our own waits, which no test here is about, are short: each would be a test's time and show nothing."""

import pytest

from proxy.tools import process, server


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who ignores the end of its stdin is ended soon, and a server that has ended is started again soon."""
    monkeypatch.setattr(process, "POLITE_S", 0.25)
    monkeypatch.setattr(server, "FIRST_WAIT_S", 0.1)
