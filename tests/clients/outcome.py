"""What a client made of an answer, in a form in which two of them can be compared."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.clients.calls import NOT_OFFERED, Call

_TIMES: Final = frozenset(
    {"created_at", "total_duration", "load_duration", "prompt_eval_duration", "eval_duration", "expires_at"}
)
_PLACE: Final = re.compile(r"registry\.ollama\.ai/library/")


@dataclass
class Outcome:
    """The objects that a client handed out, and the exception that it ended with."""

    parts: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None

    @property
    def said(self) -> dict[str, Any]:
        """The answer, wherever it was cut: texts joined, calls listed, and the last part's other fields."""
        merged: dict[str, Any] = {"text": "", "thinking": "", "calls": [], "logprobs": 0, "error": self.error}
        for part in self.parts:
            message = part.get("message") or {}
            merged["text"] += part.get("response") or message.get("content") or ""
            merged["thinking"] += part.get("thinking") or message.get("thinking") or ""
            merged["calls"] += message.get("tool_calls") or []
            merged["logprobs"] += len(part.get("logprobs") or [])
        last = self.parts[-1] if self.parts else {}
        rest = {
            name: value for name, value in last.items() if name not in {"response", "message", "thinking", "logprobs"}
        }
        return {
            **merged,
            "roles": sorted({part["message"]["role"] for part in self.parts if "message" in part}),
            **rest,
        }

    def __str__(self) -> str:
        """Say it in a cell of the table."""
        if self.error is not None:
            words = f"{self.error['type']} {self.error.get('status', '')}".strip()
            return f"{words} after {len(self.parts)} parts" if self.parts else words
        done = "" if all(part.get("done", True) is not False for part in self.parts[-1:]) else ", no end"
        return f"{len(self.parts)} parts{done}" if len(self.parts) != 1 else "1 object"


def differences(call: Call, direct: Outcome, ours: Outcome) -> frozenset[str]:
    """Return what is not the same, each by its name in :data:`_NAMED`; "values" for what has none."""
    one, other = _comparable(call, direct), _comparable(call, ours)
    if call.differs == {NOT_OFFERED}:
        return frozenset({NOT_OFFERED}) if _both_refuse(one, other) else frozenset({"values"})
    names = {name for name, take in _NAMED.items() if take(one) != take(other)}
    return frozenset(names | ({"values"} if one != other else set()))


def _both_refuse(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """A path that is not offered is 404 at both: here the simulator has no such routes either."""
    return all(each["error"] and each["error"]["status"] == 404 for each in (one, other))


def _comparable(call: Call, outcome: Outcome) -> dict[str, Any]:
    said: dict[str, Any] = _without_times(outcome.said)
    said["calls"] = [{**one["function"], "index": None} for one in said["calls"]]  # ids are drawn, indices counted anew
    if call.is_recorded:
        said.pop("model", None)
    if said["error"] is not None:
        said["error"]["text"] = innermost(said["error"]["text"])
    return said


def _without_times(value: Any) -> Any:
    """Return ``value`` with the kind of each time in its place: two answers take their own."""
    if isinstance(value, Mapping):
        return {name: type(each).__name__ if name in _TIMES else _without_times(each) for name, each in value.items()}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def innermost(text: str) -> str:
    """Return the words of an error that is JSON inside JSON, as llama-server's are: we take them out."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    while isinstance(value, dict):
        value = value.get("error", value.get("message"))
    return str(value)


def _status_of_500(said: dict[str, Any]) -> Any:
    error = said["error"]
    return error.pop("status") if error is not None and error.get("status") in {500, 502} else None


def _place(said: dict[str, Any]) -> str:
    """Return the host that Ollama's words name, if they do, and leave it out as we do: our errors name none."""
    error = said["error"]
    if error is None or (found := _PLACE.search(error["text"])) is None:
        return ""
    error["text"] = _PLACE.sub("", error["text"])
    return found[0]


def _digests(said: dict[str, Any]) -> list[Any]:
    models = said.get("models") or []
    return [model.pop("digest", None) for model in models]


_NAMED: Final[Mapping[str, Callable[[dict[str, Any]], Any]]] = {
    "context": lambda said: said.pop("context", None),
    "logprobs": lambda said: said.pop("logprobs"),
    "no host in the words": _place,
    "status 500 is 502": _status_of_500,
    "no digests": _digests,
    "no modelfile": lambda said: said.pop("modelfile", None),
}


@dataclass(frozen=True)
class Row:
    """A line of the table of client calls."""

    client: str
    call: str
    direct: str
    ours: str
    verdict: str


def table(rows: Sequence[Row]) -> list[str]:
    """Return the table of client calls, directly and through us, in Markdown."""
    head = ["| client | call | direct | through us | |", "|---|---|---|---|---|"]
    return head + [f"| {row.client} | {row.call} | {row.direct} | {row.ours} | {row.verdict} |" for row in rows]
