"""The gateway, but for whole answers that are late after a second: 290 are no test's to wait. ``python -m`` runs it."""

import sys
from typing import Final

from gateway.app import GatewayService
from gateway.settings import GatewaySettings
from services.runtime.lifecycle import main

WHOLE_S: Final = 1.0


def build(settings: GatewaySettings) -> GatewayService:
    """Return the service as ``python -m gateway`` builds it, with the shorter limit."""
    return GatewayService(settings, whole_s=WHOLE_S)


if __name__ == "__main__":
    sys.exit(main("gateway", GatewaySettings, build))
