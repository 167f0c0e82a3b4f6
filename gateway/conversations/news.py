"""What changed between two looks at somebody's conversations, as it is told to who listens. Pure."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from services.wire import sse

Versions = Mapping[str, tuple[int, tuple[str, ...]]]
"""Of each conversation its version, and the answers that stream in it."""
RELOAD: Final = sse.encode(orjson.dumps({"type": "reload"}), event="reload")
"""Some changes may have been missed: read the list again."""


def frames_of(before: Versions, now: Versions, *, most: int) -> list[bytes]:
    """Return the frames that tell what changed: ids and versions, and no word of what was said.

    Args:
        most: conversations that a look shows; where there are so many, one that is not seen need not be gone.
    """
    frames = []
    for name, (version, streaming) in now.items():
        was, streamed = before.get(name, (None, ()))
        if version != was:
            frames.append(_frame("changed", conversation_id=name, version=version))
        frames += [
            _frame("finished", conversation_id=name, message_id=one, version=version)
            for one in streamed
            if one not in streaming
        ]
    if len(before) < most:
        frames += [_frame("deleted", conversation_id=name) for name in before if name not in now]
    return frames


def _frame(kind: str, **data: Any) -> bytes:
    return sse.encode(orjson.dumps({"type": kind, **data}), event=kind)
