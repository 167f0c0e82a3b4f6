"""The proxy, but for a wait that is suspicious after a second: 30 are no test's to wait. ``python -m`` runs it."""

import sys
from typing import Final

from proxy.app import ProxyService
from proxy.settings import ProxySettings
from services.runtime.lifecycle import main

WEDGE_FLOOR_S: Final = 1.0


def build(settings: ProxySettings) -> ProxyService:
    """Return the service as ``python -m proxy`` builds it, with the shorter floor."""
    return ProxyService(settings, wedge_floor_s=WEDGE_FLOOR_S)


if __name__ == "__main__":
    sys.exit(main("proxy", ProxySettings, build))
