"""Which paths there are, and the answers of those that say nothing but what is known: lists, version, redirects."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from services.simulator import models, replies
from services.simulator.replies import Reply, json_reply

VERSION: Final = "0.33.0-rc2"  # the Ollama whose recordings it follows
WITNESS: Final = "/simulator/witness"
ROUTES: Final[Mapping[str, Sequence[str]]] = {  # the first method is the one that 405 allows
    "/": ("GET", "HEAD"),
    "/api/tags": ("GET", "HEAD"),
    "/api/version": ("GET", "HEAD"),
    "/api/ps": ("GET",),
    "/api/show": ("POST",),
    "/api/generate": ("POST",),
    "/api/chat": ("POST",),
    "/api/embed": ("POST",),
    "/api/embeddings": ("POST",),
    WITNESS: ("GET", "DELETE"),
}


class Target(NamedTuple):
    """A request's target, cut at its query."""

    path: str
    query: Mapping[str, Sequence[str]]

    def number(self, name: str) -> int:
        """Return the query's ``name`` as a whole number, 0 if it is none."""
        text = self.query.get(name, ["0"])[0]
        return int(text) if text.isdecimal() and len(text) < 10 else 0


def target_of(text: str) -> Target:
    """Return path and query of ``text``."""
    path, _, query = text.partition("?")
    return Target(path, parse_qs(query))


def misrouted(method: str, path: str) -> Reply | None:
    """Return the answer to a path or method that is no route, None where it is one."""
    bare = path.rstrip("/")
    if path not in ROUTES:
        return replies.without_slash(method, bare) if bare in ROUTES and bare != path else replies.not_found()
    return None if method in ROUTES[path] else replies.method_not_allowed(ROUTES[path][0])


def simple_reply(path: str, loaded: Callable[[], Sequence[Mapping[str, Any]]]) -> Reply:
    """Return the answer of a GET route other than the witness; ``loaded`` lists the models in memory."""
    if path == "/":
        return Reply(200, b"Ollama is running", "text/plain; charset=utf-8")
    if path == "/api/version":
        return json_reply({"version": VERSION})
    return json_reply(models.tags() if path == "/api/tags" else {"models": list(loaded())})
