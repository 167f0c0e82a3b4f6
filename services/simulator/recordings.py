"""Recordings of a real Ollama: how they are read, and the steps that send their bytes again.

Format: tests/captures/README.md. Chunks are framed where the recorded ones began and end as the recorded ones ended.
"""

import base64
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.simulator.lines import Endpoint
from services.simulator.replies import head
from services.simulator.script import Script
from services.simulator.steps import FIN, TURN, WHOLE, End, Steps, Wait, Write

REGISTRY: Final = ("<registry>", "registry.ollama.ai")  # scrubbed in the recordings; put back, their sizes fit again
PATHS: Final[Mapping[str, Endpoint]] = {"/api/generate": "generate", "/api/chat": "chat"}
_ENDS: Final = {
    "last chunk received": WHOLE,
    "content-length reached": WHOLE,
    "FIN by server before the end of the body": FIN,
    "FIN by server before any response": FIN,
}


class RecordedPart(NamedTuple):
    """What one read carried: ``frames`` are the sizes of the chunks that began in it, 0 the last chunk."""

    at_s: float
    data: bytes
    frames: Sequence[int]


@dataclass(frozen=True)
class Recording:
    """One exchange; ``status`` None is an answer of not one byte."""

    case: str
    endpoint: Endpoint
    request: Any
    status: int | None
    content_type: str
    chunked: bool
    parts: Sequence[RecordedPart]
    end_s: float
    end: End

    @property
    def body(self) -> bytes:
        """The whole body, chunking removed."""
        return b"".join(part.data for part in self.parts)


@lru_cache(maxsize=4)
def load_all(folder: Path) -> Mapping[str, Recording]:
    """Return the recordings of generate and chat under ``folder``, by case name; read once in a process."""
    if not folder.is_dir():
        return {}
    found = (parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.jsonl")))
    return {recording.case: recording for recording in found if recording is not None}


def parse(text: str) -> Recording | None:
    """Return the recording in ``text``, None if it is of another route."""
    first, *reads, last = [json.loads(line) for line in text.replace(*REGISTRY).split("\n") if line]
    endpoint = PATHS.get(first["request"]["path"])
    if endpoint is None or first["request"]["method"] != "POST" or last["end"] not in _ENDS:
        return None
    response = first["response"] or {"status": "", "headers": {}}
    fields = response["headers"]
    return Recording(
        case=first["case"],
        endpoint=endpoint,
        request=first["request"]["body"],
        status=int(response["status"].split()[1]) if response["status"] else None,
        content_type=fields.get("Content-Type", ""),
        chunked="Transfer-Encoding" in fields,
        parts=[_part(read) for read in reads],
        end_s=last["t_ms"] / 1000,
        end=_ENDS[last["end"]],
    )


def replay(recording: Recording, script: Script, now_s: float) -> Steps:
    """Return the steps that send ``recording`` again: its waits times ``pace``."""
    send_head = _head(recording, now_s)
    passed_s = 0.0
    framer = _Framer()
    for part in recording.parts:
        yield _pause(part.at_s - passed_s, script)
        passed_s = part.at_s
        data = framer.frame(part) if recording.chunked else part.data
        yield Write(send_head + data, part.data.count(b"\n"), part.data.count(b"\n"))
        send_head = b""
    yield _pause(recording.end_s - passed_s, script)
    yield recording.end


class _Framer:
    """Puts chunk headers where they were; a chunk may go on over several reads."""

    def __init__(self) -> None:
        self._left = 0  # bytes of the present chunk that are still to come

    def frame(self, part: RecordedPart) -> bytes:
        return b"".join(self._pieces(part))

    def _pieces(self, part: RecordedPart) -> Iterator[bytes]:
        data = part.data
        if self._left:
            data = yield from self._fill(data)
        for size in part.frames:
            yield b"%x\r\n" % size
            self._left = size
            if not size:
                yield b"\r\n"
            data = yield from self._fill(data)

    def _fill(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield what belongs to the present chunk; return the rest."""
        taken = data[: self._left]
        self._left -= len(taken)
        if taken:
            yield taken if self._left else taken + b"\r\n"
        return data[len(taken) :]


def _part(read: dict[str, Any]) -> RecordedPart:
    data = base64.b64decode(read["chunk_b64"]) if "chunk_b64" in read else read["chunk"].encode()
    return RecordedPart(read["t_ms"] / 1000, data, read["frames"])


def _head(recording: Recording, now_s: float) -> bytes:
    if recording.status is None:
        return b""
    framing = "chunked" if recording.chunked else len(recording.body)
    return head(recording.status, {"Content-Type": recording.content_type}, now_s, keep_alive=True, framing=framing)


def _pause(recorded_s: float, script: Script) -> Wait:
    seconds = max(0.0, recorded_s) * script.pace
    return Wait(seconds) if seconds else TURN
