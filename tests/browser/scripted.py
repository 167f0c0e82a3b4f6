"""What a gateway says to the page where no server of ours says it yet, or not soon: put in its place in the browser."""

import json
from collections.abc import Mapping
from typing import Any, Final

from playwright.async_api import Page, Request, Route

STREAM: Final = "k3fa.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_SEEN: Final = "X-Request-Id, X-Stream-Id, Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset"


def frames(*events: Mapping[str, Any]) -> str:
    """Return an answer's body: its start, and then these events."""
    start = {"type": "start", "stream_id": STREAM, "model": "llama3.2", "resume_window_s": 30, "heartbeat_s": 10}
    return "".join(
        f"id: {STREAM}-{number}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n"
        for number, event in enumerate((start, *events), 1)
    )


def refusal(code: str, message: str = "No.") -> str:
    """Return the body of a refusal."""
    return json.dumps({"error": {"code": code, "message": message, "retryable": True, "request_id": "r-1"}})


async def answer(page: Page, path: str, body: str, status: int = 200, **headers: str) -> None:
    """Answer the page's requests of ``path`` with this; a header's name is written with ``_``."""
    kind = "text/event-stream" if body.startswith("id: ") else "application/json"
    sent = {
        "Content-Type": kind,
        "Access-Control-Expose-Headers": _SEEN,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }

    async def fulfil(route: Route, request: Request) -> None:
        origin = {"Access-Control-Allow-Origin": request.headers.get("origin", "*")}
        await route.fulfill(status=status, headers={**sent, **origin}, body=body)

    await page.route(f"**{path}", fulfil)


def requests(page: Page) -> list[Request]:
    """Return the list into which every request of the page goes from now on."""
    seen: list[Request] = []
    page.on("request", lambda request: seen.append(request))  # noqa: PLW0108 playwright marks the function
    return seen
