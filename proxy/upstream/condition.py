"""What a server's calls have taught about it: whether it is asked now, and if not, why. Pure; times in seconds.

Models are meant by what this server calls them, however that is spelt. Where a route has one server none of this is
asked: failing fast would help nobody there.
"""

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Final

from proxy.upstream.breaker import OPEN_S, Breaker, State
from proxy.upstream.retry_budget import RetryBudget
from services.wire.events import Code, Failed, Stage
from services.wire.model_names import canonical

SERVER_FAULTS: Final = frozenset({"refused", "connect_timeout", "dns", "untrusted"})
"""It cannot be reached: that is so for all of its models."""
MODEL_FAULTS: Final = frozenset({"first_token", "eof", "reset", "500", "502", "503", "504", "5xx"})
QUOTA_S: Final = 300.0
"""A spent quota is tried again after so long: nobody says when it is filled."""
LONGEST_SPARED_S: Final = 600.0
MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
REMEMBERED_MODELS: Final = 64
"""Of what clients may name the most: whoever is forgotten is learnt again."""


@dataclass(slots=True, eq=False)
class Try:
    """A call that was made, as the breakers know it.

    Attributes:
        probes: the breakers whose one try it is.
        asked_at: when it was made.
        has_content: whether it has some.
        is_told: whether the breakers know how it came out.
    """

    model: str
    probes: tuple[Breaker, ...]
    asked_at: float
    has_content: bool = False
    is_told: bool = False


class Condition:
    """Of one server.

    Args:
        requests_per_minute, tokens_per_day: what its operator allows; None: as many as come.

    Attributes:
        repeats: how many requests may be sent there again.
    """

    def __init__(
        self, *, open_s: float = OPEN_S, requests_per_minute: int | None = None, tokens_per_day: int | None = None
    ) -> None:
        self._open_s = open_s
        self._requests_per_minute = requests_per_minute
        self._tokens_per_day = tokens_per_day
        self._asked_at: deque[float] = deque(maxlen=requests_per_minute or 1)
        self._tokens, self._day = 0, -1
        self._of_server = Breaker(open_s)
        self._of_models: OrderedDict[str, Breaker] = OrderedDict()
        self._failed_request: dict[str, str] = {}  # the last that got a 500, by model
        self._spared_until = 0.0
        self._spared_for = ""
        self.repeats = RetryBudget()
        self.hung: dict[str, float] = {}  # models that are loaded and answer nobody, by canonical name; since when
        self.key_refused = False
        self.forbidden: set[str] = set()  # models that the key has no right to

    # --- what may be asked

    def passed_by(self, model: str, now: float) -> str:
        """Return why no call of ``model`` is made now, "" where it may be: a word of ``fallback.CODES``."""
        model = canonical(model)
        if self.key_refused or model in self.forbidden:
            return "marked"
        if now < self._spared_until:
            return self._spared_for
        if self._is_spent(now):
            return "quota"
        breakers = (self._of_server, self._of_models.get(model))
        return "" if all(breaker is None or breaker.lets_in(now) for breaker in breakers) else "open"

    def wait_s(self, model: str, now: float) -> float | None:
        """Return after how many seconds a call of ``model`` may be made that may not now; None where nobody knows."""
        model = canonical(model)
        if self.key_refused or model in self.forbidden:
            return None
        of_model = self._of_models.get(model)
        waits = [self._spared_until - now, self._of_server.wait_s(now), of_model.wait_s(now) if of_model else 0.0]
        if self._is_full(now):
            waits.append(self._asked_at[0] + MINUTE_S - now)
        return max(waits) if max(waits) > 0 else None

    def state(self, model: str, now: float) -> State:
        """Return the state of the breaker in front of ``model``."""
        of_model = self._of_models.get(canonical(model))
        return max(self._of_server.state(now), of_model.state(now) if of_model else State.CLOSED)

    @property
    def models(self) -> tuple[str, ...]:
        """The models that a breaker is kept of."""
        return tuple(self._of_models)

    # --- what happens

    def began(self, model: str, now: float) -> Try:
        """A call of ``model`` is made."""
        self._asked_at.append(now)
        model = canonical(model)
        breakers = (self._of_server, self._breaker(model))
        return Try(model, tuple(breaker for breaker in breakers if breaker.began(now)), now)

    def has_content(self, call: Try, now: float) -> None:
        """A call has its first content: that closes a breaker, and says nothing yet about its end."""
        self.hung.pop(call.model, None)
        self._failed_request.pop(call.model, None)
        call.has_content = True
        for breaker in call.probes:
            breaker.succeeded(now, probe=True)
        call.probes = ()

    def came_to_nothing(self, call: Try, why: str, now: float, *, chance: float, request: str = "") -> None:
        """A call failed before its first content.

        Args:
            why: as ``AttemptFailed`` says it.
            chance: a random number in [0, 1).
            request: tells one request from another: a request that no server survives is no server's fault.
        """
        if why == "401":
            self.key_refused = True
        elif why == "403":
            self._mark(call.model)
        fault = why
        if why == "500" and self._failed_request.get(call.model) in {None, request}:
            self._failed_request[call.model], fault = request, ""
        self._tell(call, now, fault, chance)

    def broke_off(self, call: Try, failed: Failed, now: float, *, chance: float) -> None:
        """A call failed behind its first content: it fell silent, or its end was no end."""
        silent = failed.code is Code.UPSTREAM_TIMEOUT and failed.stage is Stage.IDLE
        cut = failed.code in {Code.UPSTREAM_TRUNCATED, Code.UPSTREAM_DISCONNECTED}
        if silent or cut:
            self._tell(call, now, "eof", chance)

    def let_go(self, call: Try, now: float) -> None:
        """A call is over, however it came out: if it said nothing about the server, its try is given back."""
        self._tell(call, now, None if call.has_content else "", 0.0)

    def hangs(self, model: str, now: float) -> None:
        """A loaded model, by canonical name, gave a call no content in all its time, and nobody else any."""
        self.hung[model] = now
        if len(self.hung) > REMEMBERED_MODELS:
            del self.hung[next(iter(self.hung))]

    def spare(self, why: str, wait_s: float | None, now: float) -> None:
        """The server asked to be left alone: by a long ``Retry-After``, or since a quota is spent."""
        until = now + min(wait_s if wait_s is not None else QUOTA_S, LONGEST_SPARED_S)
        if until > self._spared_until:  # else another call was told to wait longer
            self._spared_until, self._spared_for = until, why

    def used(self, tokens: int, day: int) -> None:
        """So many tokens went there.

        Args:
            day: its number, so that a new one begins at nothing.
        """
        if day != self._day:
            self._day, self._tokens = day, 0
        self._tokens += tokens

    def new_day(self, day: int) -> None:
        """Tell which day it is."""
        self.used(0, day)

    def answers(self, now: float) -> None:
        """The server answered something else than a call: who waits for its breaker need not."""
        self._of_server.try_now(now)

    def key_changed(self) -> None:
        """It has another key, or its key was proved."""
        self.key_refused = False
        self.forbidden.clear()

    # --- inside

    def _is_spent(self, now: float) -> bool:
        most = self._tokens_per_day
        return (most is not None and self._tokens >= most) or self._is_full(now)

    def _is_full(self, now: float) -> bool:
        limit = self._requests_per_minute
        return limit is not None and len(self._asked_at) == limit and now - self._asked_at[0] < MINUTE_S

    def _breaker(self, model: str) -> Breaker:
        breaker = self._of_models.setdefault(model, Breaker(self._open_s))
        self._of_models.move_to_end(model)
        if len(self._of_models) > REMEMBERED_MODELS:
            forgotten, _ = self._of_models.popitem(last=False)
            self._failed_request.pop(forgotten, None)
        return breaker

    def _mark(self, model: str) -> None:
        if len(self.forbidden) < REMEMBERED_MODELS:
            self.forbidden.add(model)

    def _tell(self, call: Try, now: float, fault: str | None, chance: float) -> None:
        """Tell the breakers once: None is content, "" says nothing about the server."""
        if call.is_told:
            return
        call.is_told = True
        for breaker, faults in ((self._of_server, SERVER_FAULTS), (self._breaker(call.model), MODEL_FAULTS)):
            probe = breaker in call.probes
            if fault is None or (breaker is self._of_server and fault in MODEL_FAULTS):
                breaker.succeeded(now, probe=probe)  # it was reached: whatever is wrong, it is the model's
            elif fault in faults:
                breaker.failed(now, probe=probe, chance=chance)
            else:
                breaker.let_go(probe=probe)
