"""Ask the gateway, print the answer as it comes, and come back for the rest when the connection breaks.

    python examples/resume.py "why is the sky blue?" [http://localhost:3001]

Only the standard library. What makes it resume: the number behind the last dash of each event's id, and
``GET /api/chat/stream/<stream id>?after=<number>``. A body that ends without ``done`` or ``error`` is not over.
"""

import http.client
import json
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

ATTEMPTS = 5
WAIT_S = 0.25

Event = tuple[str, str, dict[str, object]]


def events(response: http.client.HTTPResponse) -> Iterator[Event]:
    """Yield (id, event, data) of each frame; a frame that was cut off is none."""
    fields: dict[str, str] = {}
    while line := response.readline().decode().rstrip("\n"):
        if line.startswith(":"):  # a heartbeat
            continue
        name, _, value = line.partition(": ")
        fields[name] = value
        if name == "data":
            yield fields.get("id", ""), fields.get("event", "message"), json.loads(value)
            fields = {}
            response.readline()  # the blank line behind it


def ask(gateway: str, question: str) -> int:
    """Print the answer; return the exit code."""
    host = urlsplit(gateway).netloc
    stream_id, number = "", "0"
    for attempt in range(ATTEMPTS):
        connection = http.client.HTTPConnection(host, timeout=60)
        try:
            if stream_id:
                connection.request("GET", f"/api/chat/stream/{stream_id}?after={number}")
            else:
                body = json.dumps({"message": question, "on_disconnect": "continue"})
                connection.request("POST", "/api/chat/stream", body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                print(response.read().decode(), file=sys.stderr)
                return 1
            for event_id, event, data in events(response):
                if event_id:
                    stream_id, _, number = event_id.rpartition("-")
                if event == "token":
                    print(data["content"], end="", flush=True)
                elif event in {"done", "error"}:
                    print()
                    print(json.dumps(data), file=sys.stderr)
                    return 0 if event == "done" else 1
            raise ConnectionError("the body ended, and the answer had not")
        except (OSError, http.client.HTTPException) as exc:
            print(f"\n[{type(exc).__name__}: coming back after {number}]", file=sys.stderr)
        finally:
            connection.close()
        time.sleep(WAIT_S * 2**attempt)
    return 1


if __name__ == "__main__":
    sys.exit(ask(sys.argv[2] if len(sys.argv) > 2 else "http://localhost:3001", sys.argv[1]))
