"""``python -m deploy.healthcheck``: ask /livez of the process that this container runs; the image's HEALTHCHECK.

``--healthcheck`` of that process asks the same, but imports the whole server first, every few seconds: 0.5 s of CPU,
where this takes a tenth.
"""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

# module -> the setting that says where it listens, and a path that asks nobody else
PROCESSES: Final = {
    "gateway": ("SLUICE_GATEWAY_LISTEN", "/livez"),
    "proxy": ("SLUICE_PROXY_LISTEN", "/livez"),
    "services.webchat": ("SLUICE_WEB_LISTEN", "/livez"),
    "services.simulator": ("SLUICE_SIMULATOR_LISTEN", "/"),
}
TIMEOUT_S: Final = 2.0
INIT: Final = Path("/proc/1/cmdline")
"""The container's command; docker's own init, where it is wanted, repeats it behind its own name."""


def is_alive(command: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Return whether the server that ``command`` started answers.

    Raises:
        KeyError: it is none of ours, or the image does not say where it listens.
    """
    listen, path = PROCESSES[command[command.index("-m") + 1]]
    host, _, port = environ[listen].rpartition(":")
    reached = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}.get(host, host.strip("[]"))  # noqa: S104 where it listens
    connection = http.client.HTTPConnection(reached, int(port), timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_alive(INIT.read_text().split("\0"), os.environ) else 1)
