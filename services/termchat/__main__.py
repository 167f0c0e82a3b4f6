"""``sluice``, or ``python -m services.termchat``: a chat in the terminal, one question, or an operator's errand."""

import os
import sys

from services.termchat.app import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
