"""How thoroughly Hypothesis looks: enough to notice on a laptop, and what 25 minutes leave time for in the CI.

And how a task's failure is printed.
"""

import os
from typing import Final

import hypothesis
import pytest
import structlog

IN_CI: Final = os.environ.get("CI") == "true"
CI_TIMEOUT_S: Final = 300
"""Many examples may take as many times as long as the time-out of every other test."""

# No deadline an example: the machine may be busy, and no test here is about speed.
hypothesis.settings.register_profile("laptop", max_examples=200, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=500, deadline=None)
hypothesis.settings.load_profile("ci" if IN_CI else "laptop")

# A traceback that rich draws, with every frame's variables, holds the test's own event loop up for a good part of a
# second, or for two on a busy machine: in that time others' time-outs run out.
structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a test of many examples the time for them."""
    for item in items:
        if IN_CI and hypothesis.is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.timeout(CI_TIMEOUT_S), append=False)
