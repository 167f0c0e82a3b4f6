"""A service as small as one can be, run through the real lifecycle by the tests beside it.

GET /stream answers for ever, GET /held answers nothing for ever; both count as streams, and say how they ended.
"""

import asyncio
import sys
import time
from typing import ClassVar

import structlog
from aiohttp import web
from prometheus_client import Counter
from pydantic import Field

from services.http import edge
from services.http.server import HttpPort
from services.runtime.lifecycle import main
from services.runtime.listening import Listener
from services.runtime.log import LogWriter
from services.runtime.settings import Address, ProcessSettings
from services.telemetry.log_metrics import LogMetrics
from services.telemetry.metrics import metrics_port, process_registry

log = structlog.get_logger()


class TinySettings(ProcessSettings):
    PREFIX: ClassVar[str] = "SLUICE_WEB_"

    listen: Address = Field(default=Address("127.0.0.1", 0), description="where it listens")
    metrics_listen: Address = Field(default=Address("127.0.0.1", 0), description="where its metrics are")
    keepalive_timeout_s: float = Field(default=5, description="seconds")
    drain_s: float = Field(default=5, description="seconds")


class TinyService:
    def __init__(self, settings: TinySettings) -> None:
        self.app = web.Application()
        self.app.router.add_get("/livez", self._livez)
        self.app.router.add_get("/stream", self._stream)
        self.app.router.add_get("/held", self._held)
        self.app.router.add_post("/refuse", self._refuse)
        self.app.router.add_get("/fail", self._fail)
        self.app.router.add_get("/leak", self._leak)
        self.app.router.add_get("/slow", self._slow)
        self.registry = process_registry()
        listener = Listener(settings.listen, settings.keepalive_timeout_s, 15)
        self.ports = (
            metrics_port(self.registry, settings.metrics_listen, self.refusal),
            HttpPort("address", self.app, listener, self.refusal),
        )
        self.drain_s = settings.drain_s
        self._answered = Counter("tiny_answers_total", "Answers.", registry=self.registry)
        self._draining = False
        self._streams: set[asyncio.Event] = set()
        self._none_left = asyncio.Event()
        self._none_left.set()

    @staticmethod
    def refusal(status: int, words: str, request_id: str) -> edge.Answer:
        return status, {"Content-Type": "text/x-tiny"}, f"{words} {request_id}".encode()

    def watch_log(self, writer: LogWriter) -> None:
        LogMetrics(writer, self.registry)

    async def start(self) -> None:
        log.info("tiny.start")

    def begin_drain(self) -> None:
        self._draining = True

    async def drained(self) -> None:
        await self._none_left.wait()

    def end_at_once(self) -> None:
        """Nothing of it outlives the process."""

    async def end_streams(self) -> None:
        for end in self._streams:
            end.set()
        await self._none_left.wait()

    async def close(self) -> None:
        log.info("tiny.close", streams=len(self._streams))

    async def _livez(self, _request: web.Request) -> web.Response:
        self._answered.inc()
        return web.Response(status=503 if self._draining else 200)

    async def _refuse(self, _request: web.Request) -> web.Response:
        return web.Response(status=413)

    async def _fail(self, request: web.Request) -> web.Response:
        raise LookupError(request.query["secret"])

    async def _leak(self, request: web.Request) -> web.Response:
        """Fail in a callback, where nobody can catch it."""

        def fail() -> None:
            raise LookupError(request.query["secret"])

        asyncio.get_running_loop().call_soon(fail)
        return web.Response()

    async def _slow(self, request: web.Request) -> web.Response:
        """Hold up the loop for longer than asyncio's debug mode suffers without a line."""
        asyncio.get_running_loop().call_soon(lambda _secret: time.sleep(0.15), request.query["secret"])
        return web.Response()

    async def _held(self, _request: web.Request) -> web.Response:
        await self._until_ended()
        return web.Response()

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await self._until_ended()
        await response.write(b"last\n")
        return response

    async def _until_ended(self) -> None:
        end = asyncio.Event()
        self._streams.add(end)
        self._none_left.clear()
        try:
            await end.wait()
        except asyncio.CancelledError:
            log.info("tiny.cancelled")
            raise
        finally:
            self._streams.discard(end)
            if not self._streams:
                self._none_left.set()


if __name__ == "__main__":
    sys.exit(main("tiny", TinySettings, TinyService, notes="It forgets everything."))
