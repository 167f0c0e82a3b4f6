"""What one random run is made of, drawn from its seed alone, so that a failing one can be replayed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final

from services.simulator.prose import prose
from services.simulator.speech import thoughts
from tests.faults.hop_fault import Bend, HopFault, RequestId
from tests.faults.model_faults import BROKEN, HARMLESS, NUM_PREDICT, PAST_NUM_PREDICT, SOUND, STOP, ModelFault

BATCH: Final = 50
LONG_TOKENS: Final = 300
LONG_TOKEN_BYTES: Final = 4096  # 1.2 MB: more than all the buffers between the model and a reader hold
_LINE: Final = 1_000_000_000  # seeds of texts that several runs of a batch wait in one line for


class Way(StrEnum):
    """What a run's reader does."""

    READ = "read"  # to the end
    LEAVE = "leave"  # after ``after`` events; -1 in its request's body, 0 before anything came
    RETURN = "return"  # leaves after ``after`` events, and comes back for the next ones, ``times`` times
    CANCEL = "cancel"  # says so after ``after`` events
    SLOW = "slow"  # reads a long answer little by little
    STUCK = "stuck"  # does not read a long answer until it is cut, and comes back
    TWO = "two"  # two readers of one stream; the first leaves if ``times`` is 2
    REPEAT = "repeat"  # asks twice with one Idempotency-Key
    WHOLE = "whole"  # wants one JSON object
    OLLAMA = "ollama"  # speaks Ollama's language to the gateway
    DIRECT = "direct"  # asks the proxy


class Door(StrEnum):
    """The server that a run asks."""

    SAFE = "safe"  # a gateway that nothing happens to
    WIRED = "wired"  # a gateway whose way to the proxy is the cable
    MORTAL = "mortal"  # a gateway that the batch's disaster happens to, or to the proxy behind it


class Disaster(StrEnum):
    """What happens to the servers behind the mortal door in the middle of a batch."""

    NONE = "none"
    GATEWAY_KILLED = "gateway killed"
    GATEWAY_TERMINATED = "gateway terminated"
    PROXY_KILLED = "proxy killed"
    PROXY_TERMINATED = "proxy terminated"

    @property
    def is_of_a_gateway(self) -> bool:
        """Whether the streams outlive it."""
        return self in {Disaster.GATEWAY_KILLED, Disaster.GATEWAY_TERMINATED}


@dataclass(frozen=True)
class Plan:
    """What the reader does; ``after`` and ``times`` as its way reads them."""

    way: Way = Way.READ
    after: int = 0
    times: int = 1
    reset: bool = False  # it leaves by RST, not FIN
    on_disconnect: str = "cancel"


@dataclass(frozen=True)
class Composition:
    """One run.

    Args:
        at: after how many tokens the model server's fault comes.
        delay_s: when it asks, from its batch's beginning.
    """

    seed: int
    fault: ModelFault
    model: str
    tokens: tuple[str, ...]
    thoughts: tuple[str, ...]
    at: int
    plan: Plan
    door: Door
    hop: HopFault | None
    disaster: Disaster
    delay_s: float
    in_line: bool = False  # others of its batch ask for the same model

    @property
    def request_id(self) -> str:
        """The id that its requests carry."""
        return str(RequestId(self.seed, self.hop))

    @property
    def options(self) -> dict[str, Any]:
        """The options of its request."""
        return {"num_predict": NUM_PREDICT} if "endless" in self.fault.script else {}

    def first(self, count: int) -> tuple[str, str]:
        """Return thinking and text of the first ``count`` parts."""
        thinking, text = self.thoughts[:count], self.tokens[: max(0, count - len(self.thoughts))]
        return "".join(thinking), "".join(text)

    def __str__(self) -> str:
        hop = f", hop {self.hop.bend} at {self.hop.at} x{self.hop.times}" if self.hop else ""
        plan = self.plan
        does = f"{plan.way} after {plan.after} x{plan.times} {plan.on_disconnect}{' by RST' if plan.reset else ''}"
        disaster = f", {self.disaster}" if self.door is Door.MORTAL else ""
        return f"{self.model}; {does}; {self.door} door{hop}{disaster}"


def batch(seed: int, runs: int, *, faulty: float = 1.0, disasters: bool = True) -> list[Composition]:
    """Return the runs of numbers ``seed`` to ``seed + runs - 1``, which share no more than a disaster.

    Args:
        faulty: the share of runs that may have a fault.
        disasters: whether something may happen to a server.
    """
    fate = disaster_of(seed) if disasters else Disaster.NONE
    return [composition(number, fate, faulty) for number in range(seed, seed + runs)]


def disaster_of(seed: int) -> Disaster:
    """Return what happens in the batch that a run belongs to; batches begin at multiples of BATCH."""
    dice = Random(f"disaster {seed // BATCH}").random()
    shares = {
        Disaster.GATEWAY_KILLED: 0.08,
        Disaster.GATEWAY_TERMINATED: 0.16,
        Disaster.PROXY_KILLED: 0.18,
        Disaster.PROXY_TERMINATED: 0.22,
    }
    return next((disaster for disaster, below in shares.items() if dice < below), Disaster.NONE)


def composition(seed: int, disaster: Disaster, faulty: float = 1.0) -> Composition:
    """Return the run of this number."""
    dice = Random(seed)
    is_faulty = dice.random() < faulty
    plan = _plan(dice) if is_faulty else Plan()
    fault = _fault(dice, plan) if is_faulty else dice.choice(SOUND)
    door = _door(dice, plan, disaster) if is_faulty else Door.SAFE
    hop = _hop(dice) if door is Door.WIRED else None
    in_line = is_faulty and fault is SOUND[0] and plan.way in {Way.READ, Way.LEAVE, Way.CANCEL} and dice.random() < 0.5
    text_seed = _LINE + seed // BATCH if in_line else seed
    is_long = plan.way in {Way.SLOW, Way.STUCK}
    count = LONG_TOKENS if is_long else 20 if in_line else dice.randint(1, 40)
    size = LONG_TOKEN_BYTES if is_long else 0
    thinking = 0 if is_long or in_line or dice.random() < 0.8 else dice.randint(1, 10)
    at = dice.randint(1, count + thinking)
    said = PAST_NUM_PREDICT if "endless" in fault.script else count
    base = f"tokens={count},seed={text_seed}" + (f",think={thinking}" if thinking else "")
    base += f",size={size}" if size else ",rate=200" if in_line else dice.choice(("", ",rate=200", ",rate=500"))
    script = fault.script.format(at=at, count=dice.randint(1, fault.most_count))
    return Composition(
        seed=seed,
        fault=fault,
        model=f"sim:{base}" + (f",{script}" if script else ""),
        tokens=tuple(prose(said, text_seed, size)),
        thoughts=tuple(thoughts(thinking, text_seed, size)) if thinking else (),
        at=PAST_NUM_PREDICT if "endless" in fault.script else at,
        plan=plan,
        door=door,
        hop=hop,
        disaster=disaster,
        delay_s=round(dice.random() * 0.8, 3),
        in_line=in_line,
    )


_WAYS: Final = {
    Way.READ: 34,
    Way.LEAVE: 14,
    Way.RETURN: 14,
    Way.CANCEL: 8,
    Way.SLOW: 1,
    Way.STUCK: 1,
    Way.TWO: 7,
    Way.REPEAT: 5,
    Way.WHOLE: 5,
    Way.OLLAMA: 6,
    Way.DIRECT: 5,
}


def _plan(dice: Random) -> Plan:
    (way,) = dice.choices(list(_WAYS), list(_WAYS.values()))
    reset, continues = dice.random() < 0.3, dice.random() < 0.5
    mode = "continue" if continues or way is Way.STUCK else "cancel"
    after = dice.randint(-1, 12) if way is Way.LEAVE else dice.randint(1, 12)
    return Plan(way, after, dice.randint(1, 3), reset=reset, on_disconnect=mode)


def _fault(dice: Random, plan: Plan) -> ModelFault:
    if plan.way in {Way.SLOW, Way.STUCK}:
        return SOUND[0]
    if plan.way is Way.REPEAT:  # a failure would free the key, and a second generation be due
        return dice.choice([row for row in (*SOUND, *HARMLESS) if row.ends == STOP])
    rows: Sequence[ModelFault] = dice.choices((SOUND, HARMLESS, BROKEN), (25, 30, 45))[0]
    return dice.choice(rows)


def _door(dice: Random, plan: Plan, disaster: Disaster) -> Door:
    if plan.way is Way.DIRECT:
        return Door.SAFE
    if disaster is not Disaster.NONE and dice.random() < 0.5:
        return Door.MORTAL
    if plan.way is Way.REPEAT:
        return Door.SAFE
    return Door.WIRED if dice.random() < 0.4 else Door.SAFE


def _hop(dice: Random) -> HopFault:
    bend = dice.choice(list(Bend))
    at = dice.randint(1, 60) if bend is Bend.PIECES else dice.randint(1, 4000)
    return HopFault(bend, 0 if bend is Bend.HEADLESS else at, dice.choice((1, 1, 2)))
