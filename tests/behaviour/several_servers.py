"""A proxy before several model servers, in the test's own loop, and servers that answer what they are told."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gateway.app import GatewayService
from gateway.settings import GatewaySettings
from proxy.app import ProxyService
from proxy.settings import ProxySettings
from services.runtime.lifecycle import Service
from services.runtime.settings import Address
from tests.eventually import soon
from tests.reader import Client

KEY: Final = "sk-canary-0123456789"
HEAD: Final = b"HTTP/1.1 %d Said\r\nContent-Type: %b\r\nConnection: close\r\n%b\r\n"
NATIVE: Final = {"Accept": "text/event-stream;dialect=native"}
ASK: Final = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
QUICK: Final = {"connect_timeout_s": 10.0, "first_token_timeout_s": 30.0, "queue_timeout_s": 30.0}


def said(status: int, body: bytes | Mapping[str, Any], kind: str = "application/json", extra: str = "") -> bytes:
    """Return an answer whose end is the connection's."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    length = f"Content-Length: {len(raw)}\r\n{extra}"
    return HEAD % (status, kind.encode(), length.encode()) + raw


def frames(*data: Mapping[str, Any] | str) -> bytes:
    """Return server-sent events."""
    return b"".join(b"data: %b\n\n" % (one if isinstance(one, str) else json.dumps(one)).encode() for one in data)


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return one chunk of an answer in OpenAI's language."""
    delta = {} if text is None else {"content": text}
    return {"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def spoken(*words: str) -> bytes:
    """Return a whole answer in OpenAI's language, as a stream."""
    usage = {"prompt_tokens": 7, "completion_tokens": len(words)}
    body = frames(*map(chunk, words), chunk(finish="stop", usage=usage), "[DONE]")
    return said(200, body, "text/event-stream")


def ollama_line(text: str = "", **more: Any) -> bytes:
    """Return one line of Ollama's."""
    return json.dumps({"model": "m", "message": {"role": "assistant", "content": text}, "done": False, **more}).encode()


def ollama_spoken(*words: str) -> bytes:
    """Return a whole answer of an Ollama."""
    last = ollama_line(done=True, done_reason="stop", prompt_eval_count=5, eval_count=len(words))
    return said(200, b"\n".join([*map(ollama_line, words), last, b""]), "application/x-ndjson")


@dataclass
class Asked:
    """A request that reached a server."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Answer = bytes | None
"""None: silence until the reader leaves."""


Answers = Callable[[Asked], Answer]


@dataclass
class ModelServer:
    """A model server that answers what it is told, one request a connection.

    Attributes:
        answer: to a question; a function chooses by what is asked.
        models: what it lists, as an Ollama does.
        loaded: what of that is in memory.
        can: what all of its models are capable of; nothing: it does not say.
    """

    answer: Answer | Answers = None
    models: Sequence[str] = ()
    loaded: Sequence[str] = ()
    can: Sequence[str] = ()
    asked: list[Asked] = field(default_factory=list)
    port: int = 0
    open: int = 0
    most_open: int = 0

    def questions(self) -> list[Asked]:
        """Return what was posted to it."""
        return [one for one in self.asked if one.body]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request = await _request(reader)
            self.asked.append(request)
            answer = self._answer_to(request)
            if request.body:
                self.open += 1
                self.most_open = max(self.most_open, self.open)
            try:
                if answer is None:
                    await reader.read()
                else:
                    writer.write(answer)
                    await writer.drain()
            finally:
                self.open -= bool(request.body)
                writer.close()

    def _answer_to(self, request: Asked) -> Answer:
        if request.path.endswith("/api/version"):
            return said(200, {"version": "0.33.0"})
        if request.path.endswith("/api/tags"):
            can = {"capabilities": self.can} if self.can else {}
            return said(200, {"models": [{"name": name, "size": 1, **can} for name in self.models]})
        if request.path.endswith("/api/ps"):
            return said(200, {"models": [{"name": name, "size": 1} for name in self.loaded]})
        if request.path.endswith("/models"):
            return said(200, {"data": [{"id": "one"}]})
        return self.answer(request) if callable(self.answer) else self.answer


async def _request(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(first.split(" ")[1], headers, json.loads(raw) if raw else {})


@asynccontextmanager
async def serving(server: ModelServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[ModelServer]:
    """Serve it on a free port."""
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls) as listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server
        listening.close()


@dataclass
class Proxy:
    """A proxy of this loop, and where it is."""

    service: ProxyService
    url: str
    metrics_url: str

    @property
    def waiting(self) -> int:
        """How many are in its lines, as a scrape sees it."""
        families = {family.name: family for family in self.service.metrics.registry.collect()}
        return int(sum(sample.value for sample in families["llm_admission_queue_length"].samples))


@asynccontextmanager
async def a_proxy(file: Path, text: str, **settings: Any) -> AsyncIterator[Proxy]:
    """Run a proxy with a configuration of ``text``."""
    file.write_text(text)  # noqa: ASYNC240 a test's
    anywhere = Address("127.0.0.1", 0)
    service = ProxyService(
        ProxySettings(config=str(file), listen=anywhere, metrics_listen=anywhere, **{**QUICK, **settings})
    )
    async with _running(service) as (metrics, api):
        yield Proxy(service, api, metrics)


@asynccontextmanager
async def a_gateway(proxy_url: str, *, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Run a gateway before a proxy; yield where it is."""
    anywhere = Address("127.0.0.1", 0)
    listen = Address(host, 0)
    service = GatewayService(
        GatewaySettings.model_validate({"listen": listen, "metrics_listen": anywhere, "proxy_url": proxy_url})
    )
    async with _running(service) as (_, api):
        yield api.replace(host, "127.0.0.1")


@asynccontextmanager
async def _running(service: Service) -> AsyncIterator[tuple[str, str]]:
    """Run a service; yield where its metrics and its API are."""
    ports = service.ports
    try:
        for port in ports:
            port.bind()
        await service.start()
        metrics, api = [f"http://{await port.open()}" for port in ports]
        yield metrics, api
    finally:
        for port in ports:
            await port.close()
        await service.close()


@dataclass
class Scene:
    """An Ollama, then Groq, then OpenAI, and the proxy before them."""

    gpu: ModelServer
    groq: ModelServer
    openai: ModelServer
    proxy: Proxy
    client: Client

    async def ask(self, **fields: Any) -> Any:
        return await self.client.ask("/api/chat/stream", {**ASK, **fields}, NATIVE)


@asynccontextmanager
async def a_scene(
    folder: Path,
    certificate: tuple[Path, ssl.SSLContext],
    *,
    gpu: Answer | Answers = None,
    groq: Answer | Answers = None,
    openai: Answer | Answers = None,
    more: str = "",
    gpu_s: float = 30,
    groq_s: float = 30,
    trusts: bool = True,
    can: Sequence[str] = (),
) -> AsyncIterator[Scene]:
    cert, tls = certificate
    (folder / "key").write_text(KEY)
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(ModelServer(gpu, models=("m", "other"), can=can)))
        second = await stack.enter_async_context(serving(ModelServer(groq), tls))
        third = await stack.enter_async_context(serving(ModelServer(openai), tls))
        trusted = f'ca_file = "{cert}"\n' if trusts else ""
        text = f"""
[[server]]
name = "gpu"
kind = "ollama"
url = "http://127.0.0.1:{first.port}"
first_token_timeout_s = {gpu_s}
[[server]]
name = "groq"
kind = "groq"
url = "https://localhost:{second.port}/openai/v1"
key_file = "{folder / "key"}"
models = {{ "*" = "llama-3.3-70b" }}
first_token_timeout_s = {groq_s}
{trusted}
[[server]]
name = "openai"
kind = "openai"
url = "https://localhost:{third.port}/v1"
models = {{ "*" = "gpt-4o-mini" }}
{trusted}
[chain]
default = ["gpu", "groq", "openai"]
"only-here" = ["gpu"]
{more}
"""
        proxy = await stack.enter_async_context(a_proxy(folder / "sluice.toml", text))
        client = await stack.enter_async_context(Client(proxy.url))
        await soon(lambda: {one.path for one in first.asked} >= {"/api/tags", "/api/ps"}, "the lists were asked for")
        yield Scene(first, second, third, proxy, client)
