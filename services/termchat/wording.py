"""The sentences that a person reads beside the model's words. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.termchat.answer_events import AnswerFailed, AnswerFinished, StatusReported, number_at
from services.termchat.following import Following
from services.termchat.sanitizing import one_line

_PHASES: Final[Mapping[str, str]] = {
    "connecting": "reaching the model server",
    "loading": "loading the model",
    "prefill": "reading the prompt",
    "retrying": "the model server is asked again",
    "approval": "waiting for somebody's word on a tool",
}
_REASONS: Final[Mapping[str, str]] = {
    "length": "cut off: the most tokens that it may have (/set max_tokens)",
    "content_filter": "cut off by the model server's content filter",
    "cancelled": "stopped by somebody else",
    "abandoned": "ended, for nobody had read it for too long",
    "tool_calls": "the model asks for tools that nobody runs",
}
_PLAINLY: Final[Mapping[str, str]] = {
    "unauthorized": "The gateway wants a good key: --key-file FILE names the file that holds one.",
    "model_not_allowed": "This key may not ask this model; --model NAME, or /model, asks another.",
}
"""What the gateway says to who writes a request, as it is said to who sits at a terminal."""
SETTABLE: Final = ("system", "top_p", "max_tokens", "seed")
RETRY: Final = "/retry asks again"
_PARTS: Final = (
    ("queue", "queue_ms"),
    ("load", "load_ms"),
    ("prompt", "prefill_ms"),
    ("tokens", "decode_ms"),
    ("tools", "tools_ms"),
)


def ordinal(number: int) -> str:
    """Return 1st, 2nd, 3rd, 4th, ... 11th, ... 21st."""
    tens = number // 10 % 10
    return f"{number}{'th' if tens == 1 else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def waiting(waits: StatusReported | None, seconds: float) -> str:
    """Return what is awaited, and since when if that is long."""
    words = _PHASES.get(waits.phase, "waiting") if waits else "waiting"
    if waits and waits.phase == "tool" and waits.name:
        words = f"running {one_line(waits.name)}"
    if waits and waits.phase == "queued" and waits.position:
        words = f"waiting, {ordinal(waits.position)} in line"
    elif waits and waits.phase == "retrying" and waits.server:
        words = f"asking {one_line(waits.server)}, {ordinal(waits.attempt or 1)} try"
    elif waits and waits.attempt:
        words = f"{words}, {ordinal(waits.attempt)} time"
    return f"{words} … {seconds:.0f} s" if seconds >= 1 else f"{words} …"


def tools(named: list[str] | bool, *, on: bool) -> str:
    """Return which tools the model may use."""
    if not named:
        return "this gateway has no tools for you" if not on else "on, but this gateway has no tools for you"
    names = one_line(", ".join(named)) if isinstance(named, list) else "those that the gateway allows"
    return f"{'on' if on else 'off'}: {names}"


def timing(answer: Following, now: float) -> str:
    """Return where the time of an answer went, in one line; only what was measured is said."""
    numbers = answer.end.numbers if isinstance(answer.end, AnswerFinished) else {}
    first_s = None if answer.first_at is None else answer.first_at - answer.asked_at
    speed, tokens = number_at(numbers, "timing", "tokens_per_s"), number_at(numbers, "usage", "output_tokens")
    parts = [
        f"first word {first_s:.2f} s" if first_s is not None else "",
        f"{speed:.1f} tokens/s" if speed is not None else "",
        f"{tokens:.0f} tokens" if tokens is not None else "",
        f"{now - answer.asked_at:.1f} s",
        _who(numbers) or one_line(answer.model),
    ]
    return " · ".join(filter(None, parts))


def afterword(end: AnswerFinished) -> str:
    """Return what is to be said of an answer that did not simply stop; "" for one that did."""
    skipped = number_at(end.numbers, "skipped_lines")
    left_out = f"{skipped:.0f} lines of the model server could not be read and were left out" if skipped else ""
    not_kept = "the gateway's database did not take it in time" if end.numbers.get("stored") is False else ""
    return "; ".join(filter(None, [_REASONS.get(end.reason, ""), left_out, not_kept]))


def failure(failed: AnswerFailed) -> str:
    """Return what went wrong, and when asking again may help."""
    words = one_line(failed.message) or f"the answer failed: {one_line(failed.code) or 'unexpected answer'}"
    if failed.request_id:  # it is the gateway's own word, and no sign-in's before it
        words = _PLAINLY.get(failed.code, words)
    if failed.retry_after_s:
        words = f"{words} (again in {_length(failed.retry_after_s)})"
    return f"{words} [{one_line(failed.code)}]" if failed.code else words


def _length(seconds: float) -> str:
    """Return a wait as a person counts it: a day's limit is hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def stats(numbers: Mapping[str, Any]) -> list[str]:
    """Return where the time of a finished answer went, a line each; unknown parts are left out."""
    known = [(name, number_at(numbers, "timing", key)) for name, key in _PARTS]
    rows = [(name, value) for name, value in known if value is not None]
    total, first = number_at(numbers, "timing", "total_ms"), number_at(numbers, "timing", "ttft_ms")
    gateway = number_at(numbers, "gateway", "ttft_ms")
    if gateway is not None and first is not None:
        rows.append(("network", max(0.0, gateway - first)))
    lines = [f"{name:<9}{value / 1000:8.3f} s" for name, value in rows]
    lines += [f"{'total':<9}{total / 1000:8.3f} s"] if total is not None else []
    tokens_in, tokens_out = number_at(numbers, "usage", "input_tokens"), number_at(numbers, "usage", "output_tokens")
    lines += [
        f"{name:<9}{value:6.0f} tokens"
        for name, value in (("read", tokens_in), ("wrote", tokens_out))
        if value is not None
    ]
    speed = number_at(numbers, "timing", "tokens_per_s")
    lines += [f"{'speed':<9}{speed:8.1f} tokens/s"] if speed is not None else []
    return lines + _served_by(numbers)


def _who(numbers: Mapping[str, Any]) -> str:
    """Return the model that answered, and where, if that is not an Ollama of the operator's."""
    told = numbers.get("served_by")
    told = told if isinstance(told, dict) else {}
    model, provider = str(told.get("model") or ""), told.get("provider")
    at = str(told.get("server") or provider) if provider not in {None, "ollama"} else ""
    return one_line(f"{model} at {at}" if at else model)


def _served_by(numbers: Mapping[str, Any]) -> list[str]:
    """Return who answered, by what name of the model, and what they could not take; a line each."""
    told = numbers.get("served_by")
    told = told if isinstance(told, dict) else {}
    names = dict.fromkeys(told[key] for key in ("provider", "server", "model") if isinstance(told.get(key), str))
    dropped, turns = told.get("dropped"), number_at(numbers, "turns") or 1
    attempts = (number_at(told, "attempts") or 0) - (turns - 1)  # each turn is asked once at least
    rows = [
        ("by", " · ".join(filter(None, names))),
        ("tries", f"{attempts:.0f}" if attempts > 1 else ""),
        ("without", ", ".join(map(str, dropped)) if isinstance(dropped, list) else ""),
    ]
    return [f"{name:<12}{one_line(value)}" for name, value in rows if value]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as aligned lines."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


def model_rows(models: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return a head and a row for each model of ``GET /api/models``."""
    rows = [["model", "size", "loaded", "can", ""]]
    for model in models:
        size, can = number_at(model, "size"), model.get("capabilities")
        notes = ["default"] if model.get("default") is True else []
        notes += ["a simulator's words"] if model.get("simulated") is True else []
        cells = [
            str(model.get("name") or ""),
            f"{size / 1e9:.1f} GB" if size else "",
            "yes" if model.get("loaded") is True else "no",
            " ".join(map(str, can)) if isinstance(can, list) else "",
            ", ".join(notes),
        ]
        rows.append([one_line(cell) for cell in cells])
    return rows
