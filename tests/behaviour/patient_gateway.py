"""The gateway, but for a request's wait for Valkey: ten seconds, so that a busy machine never makes it count alone."""

import sys
from typing import Final

from gateway.app import GatewayService
from gateway.settings import GatewaySettings
from services.runtime.lifecycle import main

ANSWER_S: Final = 10.0


def build(settings: GatewaySettings) -> GatewayService:
    """Return the service as ``python -m gateway`` builds it, with the longer wait."""
    return GatewayService(settings, valkey_answer_s=ANSWER_S)


if __name__ == "__main__":
    sys.exit(main("gateway", GatewaySettings, build))
