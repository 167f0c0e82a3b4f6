"""The grammar of model names: ``base[:latest]`` or ``base:parameter=value,parameter=value``.

"sim:tokens=200,rate=50,jitter=0.2,fault=reset,at=20" is the model "sim" with five parameters. The same list without
a base is the setting ``SLUICE_SIMULATOR_SCRIPT``: what every name starts from.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any, Final, NamedTuple

from services.simulator.faults import ERROR_WORDS, FAULTS

MAX_NAME: Final = 256  # what our own servers let pass
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]*(:[A-Za-z0-9_.:=,+/-]*)?")


class ScriptError(ValueError):
    """A parameter is unknown or its value is not one; the message says what was expected."""


@dataclass(frozen=True)
class Script:
    """What a name asks for; None and 0 mean what :data:`PARAMETERS` says."""

    tokens: int | None = None
    seed: int = 0
    size: int = 0
    rate: float = 0.0
    jitter: float = 0.0
    burst: int = 1
    think: int | None = None
    calls: int | None = None
    rounds: int = 1
    tool: str = ""
    load: float = 0.0
    prefill: float = 0.0
    pace: float = 1.0
    piece: int = 0
    fault: str = ""
    at: int = 10
    for_s: float = inf
    count: int = 1
    bytes: int | None = None
    words: str = "crash"
    to: str = "redirected.invalid"
    status: int = 0
    retry_after: float | None = None
    times: int = 0

    def size_or(self, default: int) -> int:
        """Return ``bytes=``, or ``default`` where the name does not say."""
        return default if self.bytes is None else self.bytes


class Number(NamedTuple):
    """A parameter with a number: whole or not, and its bounds."""

    whole: bool
    low: float
    high: float
    meaning: str

    def read(self, text: str) -> float:
        """Return the number that ``text`` is.

        Raises:
            ScriptError: it is none, or beyond the bounds.
        """
        try:
            value = int(text) if self.whole else float(text)
        except ValueError:
            value = -1
        if not self.low <= value <= self.high:
            kind = "a whole number" if self.whole else "a number"
            raise ScriptError(f"expected {kind} from {self.low:g} to {self.high:g}")
        return value

    @property
    def form(self) -> str:
        """How ``--help`` shows the value."""
        return "N" if self.whole else "X"


class Word(NamedTuple):
    """A parameter with a word; ``known`` None takes any."""

    known: Mapping[str, Any] | None
    meaning: str

    def read(self, text: str) -> str:
        """Return ``text``.

        Raises:
            ScriptError: it is none of the known words.
        """
        if not text or (self.known is not None and text not in self.known):
            raise ScriptError("expected one of " + ", ".join(self.known or ("a word",)))
        return text

    @property
    def form(self) -> str:
        """How ``--help`` shows the value."""
        return "WORD"


_DAY_S: Final = 86_400
_MANY: Final = 10_000_000  # a bound against typing errors, hours of any test
PARAMETERS: Final[Mapping[str, Number | Word]] = {
    "tokens": Number(True, 0, _MANY, "how many tokens of prose(seed) are said; absent: the model's own text"),
    "seed": Number(True, 0, 2**31, "which prose, and the dice of jitter"),
    "size": Number(True, 0, 1 << 20, "bytes of text in each token; 0: words as they are"),
    "rate": Number(False, 0, 1_000_000, "tokens a second; 0: as fast as it can"),
    "jitter": Number(False, 0, 1, "each gap is between 1-X and 1+X of the mean one"),
    "burst": Number(True, 1, 1000, "lines in one write, at the same mean rate"),
    "think": Number(True, 0, _MANY, "tokens of reasoning before the text, unless think is false in the request"),
    "calls": Number(True, 0, 16, "tool calls made at once where tools are offered and no result has come"),
    "rounds": Number(True, 1, 100, "turns with tool calls, one behind the results of the other"),
    "tool": Word(None, "the tool that is called, offered or not; absent: the offered ones in turn"),
    "load": Number(False, 0, _DAY_S, "seconds to load the model when it is not"),
    "prefill": Number(False, 0, _DAY_S, "seconds from the permit to the first token"),
    "pace": Number(False, 0, 1000, "recordings: waits are X times the recorded ones; 0: none"),
    "piece": Number(True, 0, 1 << 20, "bytes a send at most, one send in each turn of the loop; 0: as written"),
    "fault": Word(FAULTS, "one of the faults below"),
    "at": Number(True, 0, _MANY, "content lines before the fault"),
    "for": Number(False, 0, _DAY_S, "seconds of a fault; absent: until the reader leaves"),
    "count": Number(True, 1, 100_000, "how many lines a fault puts in"),
    "bytes": Number(True, 1, 1 << 28, "size of a fault; absent: 9 MiB huge_line, 600,000 big_final, 100,000 trailers"),
    "words": Word(ERROR_WORDS, "the error line's text: " + ", ".join(ERROR_WORDS)),
    "to": Word(None, "host[:port] that redirect points to"),
    "status": Number(True, 400, 599, "answer with this status instead, and an error object or fault=page"),
    "retry_after": Number(False, 0, _DAY_S, "Retry-After beside status"),
    "times": Number(True, 0, _MANY, "fault and status only in the first N calls of this very name; 0: in all"),
}
_FIELDS: Final = {"for": "for_s"}  # a word that Python keeps for itself


def split_name(name: str) -> tuple[str, str]:
    """Return base and parameters of a model name; the tag "latest" is no parameter."""
    base, _, rest = name.partition(":")
    return base, "" if rest == "latest" else rest


def is_model_name(name: str) -> bool:
    """Return whether ``name`` has the form of one; ours may carry parameters where Ollama's carry a tag."""
    return len(name) <= MAX_NAME and _NAME.fullmatch(name) is not None and ".." not in name


def parse(text: str, start: Script) -> Script:
    """Return ``start`` changed by the parameters that ``text`` lists.

    Raises:
        ScriptError: naming the parameter and what was expected of it.
    """
    changes: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        parameter = PARAMETERS.get(name)
        if parameter is None or not equals:
            raise ScriptError(f"{name}: expected one of " + ", ".join(PARAMETERS))
        try:
            changes[_FIELDS.get(name, name)] = parameter.read(value)
        except ScriptError as exc:
            raise ScriptError(f"{name}: {exc}") from None
    return replace(start, **changes)


def default_text(parameter: str) -> str:
    """Return the default of a parameter as ``--help`` shows it: empty where there is none."""
    name = _FIELDS.get(parameter, parameter)
    default = next(field.default for field in fields(Script) if field.name == name)
    return "" if default in {None, "", inf} else f"{default:g}" if isinstance(default, int | float) else str(default)
