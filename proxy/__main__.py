"""``python -m proxy``: the server beside the model."""

import sys

from proxy.app import ProxyService
from proxy.settings import ProxySettings
from services.runtime.lifecycle import main

if __name__ == "__main__":
    sys.exit(main("proxy", ProxySettings, ProxyService))
