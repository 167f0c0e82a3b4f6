"""A whole answer at once: what the frames of a stream say, put together at its end."""

from collections.abc import Callable
from typing import Any, Final

import orjson

from gateway.errors import failed_by_proxy
from services.wire.events import Code, Failed, Refused, skipped
from services.wire.native import LOST_HOP
from services.wire.sse import SseDecoder

GATHERED_BYTES: Final = 16 << 20
"""Most of a stream's frames that is gathered: 8 MiB of text and what frames it."""
_TOO_LONG: Final = Failed(Code.UPSTREAM_ERROR, "The answer is too long for one object. Ask for it as a stream.")


class GatheringSink:
    """Takes frames and keeps what they say; never asks for a pause.

    Args:
        too_long: told when more has come than is gathered; :meth:`whole` says so then.
    """

    def __init__(self, too_long: Callable[[], None]) -> None:
        self._too_long = too_long
        self.written = 0
        self._decoder = SseDecoder()
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._model = ""
        self.end: dict[str, Any] = {}

    def write(self, frames: bytes) -> bool:
        """Keep what ``frames`` say."""
        self.written += len(frames)
        if self.written > GATHERED_BYTES:
            self._too_long()
            return True
        for event in self._decoder.feed(frames):
            self._keep(event.type, orjson.loads(event.data))
        return True

    async def drain(self) -> None:
        """Never paused."""

    def close(self) -> None:
        """Nothing was sent."""

    def abort(self) -> None:
        """Nothing was sent."""

    def whole(self) -> dict[str, Any]:
        """Return the answer of ``POST /api/chat``.

        Raises:
            Refused: the stream failed, as if before its start; its end never came; or it is too long for one object.
        """
        if self.written > GATHERED_BYTES:
            raise Refused(_TOO_LONG)
        if error := self.end.get("error"):
            raise Refused(failed_by_proxy(error))
        if not self.end:
            raise Refused(LOST_HOP)
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text)}
        if self._thinking:
            message["thinking"] = "".join(self._thinking)
        if self._calls:
            message["tool_calls"] = self._calls
        numbers = {name: self.end.get(name) for name in ("usage", "timing", "finish_reason")}
        return {"message": message, "model": self._model, **numbers, **skipped(self.end.get("skipped_lines", 0))}

    def _keep(self, name: str, data: dict[str, Any]) -> None:
        match name:
            case "token":
                self._text.append(data["content"])
            case "thinking":
                self._thinking.append(data["content"])
            case "tool_call":
                function = {"name": data["name"], "arguments": data["arguments"]}
                self._calls.append({"id": data["call_id"], "function": function})
            case "start":
                self._model = data["model"]
            case "done" | "error":
                self.end = data
