"""The gateway, but for two of its times: one is no test's to wait for, one no busy machine's. ``python -m`` runs it."""

import sys
from typing import Final

from gateway.app import GatewayService
from gateway.settings import GatewaySettings
from services.runtime.lifecycle import main

WHOLE_S: Final = 1.0
"""Whole answers are late after a second, and not after 290."""
VALKEY_ANSWER_S: Final = 10.0
"""A request waits for Valkey so long that a busy machine never makes the gateway count alone."""


def build(settings: GatewaySettings) -> GatewayService:
    """Return the service as ``python -m gateway`` builds it, with these times."""
    return GatewayService(settings, whole_s=WHOLE_S, valkey_answer_s=VALKEY_ANSWER_S)


if __name__ == "__main__":
    sys.exit(main("gateway", GatewaySettings, build))
