"""Any modules under `make run`'s process manager: `python -m tests.deploy.tiny_chain <module> <module>`."""

import os
import sys
from dataclasses import dataclass

from deploy.local import Chain, Plan


@dataclass(frozen=True)
class TinyPlan(Plan):
    @property
    def modules(self) -> dict[str, str]:
        return dict(zip(("one", "two"), sys.argv[1:], strict=True))


if __name__ == "__main__":
    plan = Plan.of(os.environ)
    sys.exit(Chain(TinyPlan(plan.listen, plan.asked, plan.simulated, plan.environ)).run())
