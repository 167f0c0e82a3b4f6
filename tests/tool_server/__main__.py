"""``python -m tests.tool_server``: over stdin and stdout; $SEEN gets its process, calls and cancellations."""

import json
import os
import sys

from tests.tool_server.faults import answer, seen, send


def main() -> None:
    """Answer each line until stdin ends."""
    seen(str(os.getpid()))
    for line in sys.stdin:
        message = json.loads(line)
        reply = answer(message)
        if "id" in message and reply is not None:
            send({"id": message["id"], **reply})


if __name__ == "__main__":
    main()
