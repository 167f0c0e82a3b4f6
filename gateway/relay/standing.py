"""How a proxy stands: what its health page says, and which models it lists. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import orjson

from services.wire.model_names import canonical

LOOKS_MISSED: Final = 1
"""A proxy whose machine is busy is not away."""


class State(StrEnum):
    """What may be asked of a proxy."""

    UNKNOWN = "unknown"
    """One that has a name here, and was not asked for it yet."""
    READY = "ready"
    DRAINING = "draining"
    """It begins nothing; what runs there can be followed and stopped."""
    AWAY = "away"
    """It does not answer, or its model server does not."""
    MISNAMED = "misnamed"
    """Another answers than the one that is meant: nothing is sent there."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a proxy, as of its last word.

    Attributes:
        models: canonical names of those that it lists; None: it listed none yet, and may have any.
        streams: how many of a model hold a permit there, or wait for one, by canonical name.
        unlisted: how many were asked for since, of models that it does not list: their names are strangers' words, of
            which there is no end, and are not kept.
        missed: looks in a row that brought no answer in time.
        asks_cloud: whether it asks servers of somebody else, who counts that.
    """

    state: State = State.UNKNOWN
    models: frozenset[str] | None = None
    streams: Mapping[str, int] = field(default_factory=dict)
    unlisted: int = 0
    missed: int = 0
    asks_cloud: bool = False

    @property
    def may_be_asked(self) -> bool:
        """Whether it is known to be the one that is meant."""
        return self.state not in {State.UNKNOWN, State.MISNAMED}

    def lists(self, model: str) -> bool:
        """Return whether it may have ``model``, a canonical name."""
        return self.models is None or model in self.models

    def load(self, model: str) -> tuple[int, int]:
        """Return how many streams share permits with a new one of ``model``, and how many share the machine with it."""
        return self.streams.get(model, 0), sum(self.streams.values()) + self.unlisted

    def told(self, body: bytes, name: str) -> "Standing":
        """Return how it stands by the health page ``body``.

        Args:
            name: what it is called here; "" where it is the only one, whatever it calls itself.
        """
        page = _object(body)
        upstream = page.get("upstream")
        if name and page.get("instance") != name:
            state = State.MISNAMED
        elif page.get("status") == "draining":
            state = State.DRAINING
        else:
            is_ready = isinstance(upstream, dict) and upstream.get("reachable") is True
            state = State.READY if is_ready else State.AWAY
        asks_cloud = page.get("cloud") is True
        return replace(
            self, state=state, streams=_counts(page.get("streams")), unlisted=0, missed=0, asks_cloud=asks_cloud
        )

    def silent(self, *, is_refused: bool) -> "Standing":
        """Return how it stands after a look that brought no answer: one alone may be lost where nobody refused it."""
        missed = self.missed + 1
        return replace(self, state=State.AWAY if is_refused or missed > LOOKS_MISSED else self.state, missed=missed)

    def listing(self, names: Iterable[str]) -> "Standing":
        """Return how it stands where it lists models of these names."""
        return replace(self, models=frozenset(map(canonical, names)))

    def asked_for(self, model: str) -> "Standing":
        """Return how it stands with one more stream, of which its health page does not know yet."""
        if self.models is None or model not in self.models:
            return replace(self, unlisted=self.unlisted + 1)
        return replace(self, streams={**self.streams, model: self.streams.get(model, 0) + 1})


def _object(body: bytes) -> dict[str, Any]:
    try:
        page = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return page if isinstance(page, dict) else {}


def _counts(told: object) -> dict[str, int]:
    counts = told.items() if isinstance(told, dict) else ()
    return {model: count for model, count in counts if isinstance(count, int) and count > 0}
