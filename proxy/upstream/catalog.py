"""What several model servers have, as one Ollama would say it: their lists together.

One entry for each model, by its canonical name: the first server of the default order that lists it wins, and the entry
says who has it (``servers``). A list outlives its server. The cloud's own lists are never asked for: what may be asked
there is what the configuration names.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from proxy.config.config import Config
from proxy.upstream.server import ModelServer
from proxy.upstream.servers import Servers
from proxy.upstream.transport import PASSED_S
from services.http.client import HttpResponse, TransportError
from services.wire import json_text
from services.wire.model_names import canonical

_CHATS: Final = ("completion",)
Entry = Mapping[str, Any]


class Catalog:
    """The models of all servers."""

    def __init__(self, config: Config, servers: Servers) -> None:
        self._config = config
        self._servers = servers
        by_name = {server.name: server for server in servers}
        self._ollamas = [by_name[name] for name in config.chained() if by_name[name].config.is_ollama]
        self._last: dict[str, Sequence[Entry]] = {}  # what each listed when it last answered

    async def read(self, name: str) -> HttpResponse:
        """Return what one Ollama would say under a name of ``transport.READ_ONLY``.

        Raises:
            TransportError: nobody answers, and nothing is known without.
        """
        if name == "version":
            return await self._version()
        return HttpResponse(200, {}, await (self._tags() if name == "tags" else self._ps()))

    async def _tags(self) -> bytes:
        answers = await self._each("tags")
        found: dict[str, dict[str, Any]] = {}
        for server in self._ollamas:
            fresh = answers[server.name]
            if fresh is not None:
                self._last[server.name] = fresh
            for entry in self._last.get(server.name, ()):
                shown = found.setdefault(canonical(entry["name"]), {**entry, "servers": [], "available": False})
                shown["servers"].append(server.name)
                shown["available"] |= fresh is not None
        for name in self._config.named_models:
            self._add_named(found, name)
        if not found and all(answer is None for answer in answers.values()) and self._ollamas:
            raise TransportError("refused")
        return orjson.dumps({"models": [_said(entry) for entry in found.values()]})

    async def _ps(self) -> bytes:
        """Return an entry for each model and server that has it in memory."""
        answers = await self._each("ps")
        every = [{**entry, "server": name} for name, entries in answers.items() for entry in entries or ()]
        return orjson.dumps({"models": every})

    async def _version(self) -> HttpResponse:
        """Return the version that the first server says which answers."""
        failed = TransportError("refused")
        for server in self._ollamas:
            try:
                return await server.transport.read("version")
            except TransportError as exc:
                failed = exc
        raise failed

    async def show(self, model: str) -> HttpResponse:
        """Return what is known of a model: by the server that has it in memory, or else by one that lists it.

        Raises:
            ApiError: nobody may be asked for it.
            TransportError: nobody who has it answers.
        """
        route = list(self._servers.route(model))
        ollamas = [server for server in route if server.config.is_ollama]
        ollamas.sort(key=lambda server: (not server.holds(server.calls(model)), not _lists(server, model)))
        answer, failed = None, TransportError("refused")
        for server in ollamas:
            try:
                answer = await server.transport.show(server.calls(model))
            except TransportError as exc:
                failed = exc
                continue
            if answer.status == 200:
                return answer
        cloud = next((server for server in route if not server.config.is_ollama), None)
        if cloud is not None:
            return HttpResponse(200, {}, orjson.dumps(_described(cloud)))
        if answer is None:
            raise failed
        return answer

    async def _each(self, name: str) -> dict[str, Sequence[Entry] | None]:
        """Ask each for one of its lists; None where it does not give it."""
        lists = await asyncio.gather(*(_list(server, name) for server in self._ollamas))
        return {server.name: entries for server, entries in zip(self._ollamas, lists, strict=True)}

    def _add_named(self, found: dict[str, dict[str, Any]], name: str) -> None:
        """Add who may be asked for a name of the configuration, beside those that list it."""
        named = [server for server in self._servers if server.config.offers(name) and not server.config.is_ollama]
        if not named and canonical(name) not in self._config.chains:
            return
        kind = named[0].config.kind if named else "ollama"
        blank = {"name": name, "model": name, "details": {"family": kind}, "servers": [], "available": True}
        shown = found.setdefault(canonical(name), {**blank, **({"capabilities": _CHATS} if named else {})})
        shown["servers"] += [server.name for server in named if server.name not in shown["servers"]]
        shown["available"] |= bool(named)


async def _list(server: ModelServer, name: str) -> Sequence[Entry] | None:
    try:
        answer = await server.transport.read(name, timeout_s=PASSED_S)
        told = json_text.loads(answer.body) if answer.status == 200 else None
    except (TransportError, orjson.JSONDecodeError):
        return None
    models = told.get("models") if isinstance(told, dict) else None
    return None if models is None and not isinstance(told, dict) else list(_named(models or ()))


def _named(models: Iterable[object]) -> Iterable[Entry]:
    return (one for one in models if isinstance(one, dict) and isinstance(one.get("name"), str) and one["name"])


def _lists(server: ModelServer, model: str) -> bool:
    return server.models is not None and bool(server.models.seen(server.calls(model)).lists)


def _described(server: ModelServer) -> dict[str, Any]:
    """Return what a configured name of a server says of itself."""
    return {"capabilities": server.config.capabilities or _CHATS, "details": {"family": server.config.kind}}


def _said(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry without what goes without saying."""
    return {name: value for name, value in entry.items() if name != "available" or value is False}
