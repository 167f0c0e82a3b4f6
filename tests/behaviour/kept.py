"""What tests of kept conversations ask of a gateway."""

import json
from typing import Any, Final

from tests.eventually import soon_told
from tests.reader import Client

HERE: Final = "/api/conversations"
SETTLED_S: Final = 20.0
"""Within which no answer streams any more whose gateway died: the promise, and no margin of a test's."""


async def asked(client: Client, method: str, path: str, body: object = None) -> dict[str, Any]:
    async with client.open(method, path, body) as reading:
        answer = await reading.until_end()
    assert answer.status < 300, answer.body
    told: dict[str, Any] = json.loads(answer.body)
    return told


async def new_conversation(client: Client, **settings: object) -> str:
    return str((await asked(client, "POST", HERE, settings))["id"])


async def rows_of(client: Client, conversation: str) -> list[dict[str, Any]]:
    return list((await asked(client, "GET", f"{HERE}/{conversation}/messages"))["messages"])


async def settled(client: Client, conversation: str, *, count: int = 2) -> list[dict[str, Any]]:
    """Return the rows once there are as many, and none streams."""

    async def rows() -> list[dict[str, Any]] | None:
        found = await rows_of(client, conversation)
        return None if len(found) < count or any(row["status"] == "streaming" for row in found) else found

    found: list[dict[str, Any]] = await soon_told(rows, "no row streams", within_s=SETTLED_S)
    return found
