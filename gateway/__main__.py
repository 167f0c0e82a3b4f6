"""``python -m gateway``: the server beside the people; ``python -m gateway keys`` makes their keys."""

import os
import sys

from gateway.app import GatewayService, demand_keys
from gateway.guard.command import keys_command
from gateway.settings import GatewaySettings
from services.runtime.lifecycle import main

if __name__ == "__main__":
    if sys.argv[1:2] == ["keys"]:
        sys.exit(keys_command(sys.argv[2:], os.environ))
    sys.exit(main("gateway", GatewaySettings, GatewayService, demand=demand_keys))
