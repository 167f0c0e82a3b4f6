"""Any modules under `make run`'s processes: `python -m tests.deploy.tiny_chain <module> <module>`."""

import os
import sys

from deploy.processes import Processes

if __name__ == "__main__":
    sys.exit(Processes(dict(zip(("one", "two"), sys.argv[1:], strict=True)), os.environ).run())
