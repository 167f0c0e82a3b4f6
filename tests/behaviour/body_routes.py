"""The five ways in for a request's body, each by its server, path and the pure reader that it has."""

from dataclasses import dataclass
from typing import Any, Final

from services.wire.events import Code
from tests.behaviour.refusals import refused, refused_as_ollama
from tests.chain import Chain, Server
from tests.reader import Answer

ASKED: Final = frozenset({"/api/chat", "/api/generate"})


@dataclass(frozen=True)
class Route:
    """``reader`` is the name that tests/wire/requests.py has for the fields that it takes."""

    name: str
    path: str
    reader: str

    def server(self, chain: Chain) -> Server:
        """Return who answers it."""
        return chain.gateway if self.is_gateway else chain.proxy

    @property
    def is_gateway(self) -> bool:
        """Whether it is the gateway's."""
        return self.name.startswith("gateway")

    def words(self, answer: Answer, code: Code) -> str:
        """Assert that ``answer`` is the refusal ``code`` in the route's shape, and return its words."""
        if self.is_gateway:
            return str(refused(answer, code)["message"])
        return refused_as_ollama(answer, code)


BODY_ROUTES: Final = (
    Route("gateway chat", "/api/chat/stream", "gateway chat"),
    Route("gateway generate", "/api/generate/stream", "gateway generate"),
    Route("gateway whole", "/api/chat", "gateway chat"),
    Route("proxy chat", "/api/chat", "proxy chat"),
    Route("proxy generate", "/api/generate", "proxy generate"),
)


def bodies_at_the_model(chain: Chain) -> list[Any]:
    """Return the bodies that reached the model server, oldest first; None for one too long to be kept."""
    return [call["body"] for call in chain.witness()["calls"] if call["path"] in ASKED]
