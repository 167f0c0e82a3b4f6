"""One question to a server that may not be there, asked by a command line: it blocks, and fails to None."""

import http.client
import json
from typing import Any

from services.runtime.settings import Origin


def get(server: Origin, path: str, timeout_s: float) -> bytes | None:
    """Return the body that ``server`` answers with 200, or None."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read() if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def get_json(server: Origin, path: str, timeout_s: float) -> Any:
    """Return the JSON that ``server`` answers with 200, or None."""
    try:
        return json.loads(get(server, path, timeout_s) or b"null")
    except ValueError:
        return None
