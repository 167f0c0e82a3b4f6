"""``python -m gateway``: the server beside the people."""

import sys

from gateway.app import GatewayService
from gateway.settings import GatewaySettings
from services.runtime.lifecycle import main

if __name__ == "__main__":
    sys.exit(main("gateway", GatewaySettings, GatewayService))
