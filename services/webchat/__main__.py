"""``python -m services.webchat``: the server that hands out the chat page."""

import sys

from services.runtime.lifecycle import main
from services.webchat.app import PageService
from services.webchat.settings import PageSettings

if __name__ == "__main__":
    sys.exit(main("page", PageSettings, PageService))
