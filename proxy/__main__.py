"""``python -m proxy``: the server beside the model."""

import sys

from proxy.app import ProxyService
from proxy.settings import ProxySettings
from proxy.upstream.config_file import demand_config
from services.runtime.lifecycle import main

if __name__ == "__main__":
    sys.exit(main("proxy", ProxySettings, ProxyService, demand=demand_config))
