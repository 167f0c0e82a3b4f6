"""When a loaded model gives content to nobody though it should: the decision. Pure.

Ollama can lose a permit when a client leaves a fast model (its #17131): from then on whoever asks waits for ever, while
``/api/ps`` lists the model and every other route answers. A model is taken for wedged where all of this holds:

- the last of its calls that said something about its permits was closed by us before its end;
- it is loaded;
- a call waits for its first content longer than it ever should, and nobody gets content from it meanwhile.

It is healed by content, or by being unloaded. Refused: a question of our own as a probe, since it would wait in the
same line, and take a permit from people where nothing is wrong.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from math import inf
from typing import Final, Protocol

FLOOR_S: Final = 30.0
"""No shorter wait is suspicious, however fast the model was before: a long prompt comes unannounced."""
PREFILL_FACTOR: Final = 4
"""A wait is suspicious at so many times the longest one that ended in content."""
UNLOAD_PERIOD_S: Final = 600.0
"""A model is unloaded once in so long: where that does not heal it, repeating it only costs loads."""
REMEMBERED_MODELS: Final = 64
"""More than one machine serves; what is forgotten of a model that nobody asks is learnt again."""


class ModelCall(Protocol):
    """One call of a model, as far as it matters here; moments in seconds of one monotonic clock."""

    @property
    def asked_at(self) -> float:
        """When its request was written."""

    @property
    def first_content_at(self) -> float | None:
        """When its first content came."""

    @property
    def content_at(self) -> float | None:
        """When its last content came so far."""

    @property
    def patience(self) -> int:
        """How many times longer than others it may be silent: more than 1 where its answer is held back."""


@dataclass(slots=True, eq=False)
class _Model:
    calls: list[ModelCall] = field(default_factory=list)
    closed_early: bool = False
    absent_at: float = -inf  # when it was last seen not to be loaded
    content_at: float = -inf
    longest_wait_s: float = 0.0
    wedged: bool = False
    unloaded_at: float = -inf  # when it was last unloaded as a cure

    def note(self, call: ModelCall) -> None:
        """Take in what ``call`` has seen of the model so far."""
        if call.content_at is None or call.first_content_at is None:
            return
        if call.content_at > self.content_at:
            self.content_at = call.content_at
            self.wedged = False
        if call.patience == 1:  # else its wait was decoding, too
            self.longest_wait_s = max(self.longest_wait_s, call.first_content_at - self._asked_at(call))

    def is_overdue(self, now: float, floor_s: float) -> bool:
        """Whether a call waits longer than it ever should, and nobody gets content meanwhile."""
        limit_s = max(floor_s, PREFILL_FACTOR * self.longest_wait_s)
        waiting = [call for call in self.calls if call.content_at is None]
        return any(now - max(self._asked_at(call), self.content_at) > limit_s * call.patience for call in waiting)

    def _asked_at(self, call: ModelCall) -> float:
        """When the model could begin with it: a load is no prefill."""
        return max(call.asked_at, self.absent_at)


class Wedges:
    """What is known of the models' calls, and which models are wedged; models by their canonical names.

    Args:
        floor_s: no shorter wait is suspicious.
    """

    def __init__(self, *, floor_s: float = FLOOR_S) -> None:
        self._floor_s = floor_s
        self._models: OrderedDict[str, _Model] = OrderedDict()  # the one asked longest ago first

    @property
    def names(self) -> list[str]:
        """The models that are wedged."""
        return [name for name, model in self._models.items() if model.wedged]

    def began(self, name: str, call: ModelCall) -> None:
        """A call of the model was made."""
        self._models.setdefault(name, _Model()).calls.append(call)
        self._models.move_to_end(name)
        idle = (one for one, model in self._models.items() if not model.calls and not model.wedged)
        if len(self._models) > REMEMBERED_MODELS and (longest_ago := next(idle, None)) is not None:
            del self._models[longest_ago]

    def ended(self, name: str, call: ModelCall, *, closed_early: bool) -> None:
        """A call is over.

        Args:
            closed_early: whether we closed it before its end: that is when a permit can be lost.
        """
        model = self._models[name]
        model.calls.remove(call)
        model.note(call)
        if closed_early or call.content_at is not None:  # a refusal says nothing about permits
            model.closed_early = closed_early

    def look(self, loaded: Collection[str], now: float) -> list[str]:
        """Return the models that are found wedged by this look, and have not been before.

        Args:
            loaded: what ``/api/ps`` lists.
            now: in seconds.
        """
        found = []
        for name, model in self._models.items():
            for call in model.calls:
                model.note(call)
            if name not in loaded:  # whatever is loaded next has all its permits
                model.absent_at, model.closed_early, model.wedged = now, False, False
            elif not model.wedged and model.closed_early and model.is_overdue(now, self._floor_s):
                model.wedged = True
                found.append(name)
        return found

    def absent_at(self, name: str) -> float:
        """Return when the model was last seen not to be loaded; long ago where it never was."""
        model = self._models.get(name)
        return -inf if model is None else model.absent_at

    def is_silent_since(self, name: str, moment: float) -> bool:
        """Return whether the model was loaded ever since ``moment``, and nobody had content from it."""
        model = self._models.get(name)
        if model is None:
            return False
        for call in model.calls:  # who streams was last looked at a while ago
            model.note(call)
        return max(model.absent_at, model.content_at) < moment

    def waiting(self, name: str) -> list[ModelCall]:
        """Return the model's calls without content, the one that waits longest first."""
        model = self._models.get(name)
        return [] if model is None else [call for call in model.calls if call.content_at is None]

    def take_unload(self, name: str, now: float, *, gave_up: bool = False) -> bool:
        """Return whether to unload a wedged model now: it helps somebody, and was not done for some time.

        Args:
            gave_up: whether somebody waited for it all of a call's time: then nobody need wait for it now.
        """
        model = self._models.setdefault(name, _Model())
        if not (gave_up or self.waiting(name)) or now - model.unloaded_at < UNLOAD_PERIOD_S:
            return False
        model.unloaded_at = now
        return True
