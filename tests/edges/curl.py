"""curl as a reader: it speaks HTTP/2, which Python does not, and hands on each byte when it comes."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.wire.sse import ServerSentEvent, SseDecoder

ASK: Final = "/api/chat/stream"


@dataclass
class Curl:
    """One answer as curl reads it; ``arrivals`` has when each event came, in seconds since curl was started."""

    process: asyncio.subprocess.Process
    began_at: float
    arrivals: list[tuple[float, ServerSentEvent]] = field(default_factory=list)
    _decoder: SseDecoder = field(default_factory=SseDecoder)

    @property
    def token_times(self) -> list[float]:
        """When each token came."""
        return [at for at, event in self.arrivals if event.type == "token"]

    @property
    def text(self) -> str:
        """What the tokens say."""
        return "".join(json.loads(event.data)["content"] for _, event in self.arrivals if event.type == "token")

    @property
    def ended(self) -> bool:
        """Whether the answer is whole, and says so."""
        return [event.type for _, event in self.arrivals[-1:]] == ["done"]

    async def until_tokens(self, count: int) -> None:
        """Read until so many tokens have come, or the end."""
        while len(self.token_times) < count and await self._more():
            pass

    async def until_end(self) -> None:
        """Read to the end, and see curl end."""
        while await self._more():
            pass
        await self.process.wait()

    def leave(self) -> None:
        """End it, as the tab of a browser is closed."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def _more(self) -> bool:
        assert self.process.stdout is not None
        chunk = await self.process.stdout.read(1 << 16)
        at = time.monotonic() - self.began_at
        self.arrivals.extend((at, event) for event in self._decoder.feed(chunk))
        return bool(chunk)


@contextlib.asynccontextmanager
async def asking(
    url: str, body: Mapping[str, Any], certificate: Path | None = None, version: str = "--http2"
) -> AsyncIterator[Curl]:
    """Ask for a stream, over TLS where there is a certificate to trust, else without."""
    trust = [] if certificate is None else ["--cacert", str(certificate), version]
    command = ["curl", "--silent", "--no-buffer", *trust, "--json", json.dumps(body), url + ASK]
    began_at = time.monotonic()
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    curl = Curl(process, began_at)
    try:
        yield curl
    finally:
        curl.leave()
        await process.wait()
