"""The objectives as Prometheus' rules: data in, the text of a rule file out. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from deploy.prometheus.objectives import FAST, FEWEST, LONG_WINDOWS, OBJECTIVES, SHORT_WINDOWS, SLOW, Burn, Objective

HEAD: Final = """\
# Made by `python -m deploy.prometheus` from objectives.py: change that, and make this again.
groups:
"""
DAYS: Final = 30  # for which a budget is meant to last
BURN_WINDOWS: Final = tuple(burn.long for burn in (*FAST, *SLOW))


def recording_rules() -> str:
    """Return rules/recording.yml: of every objective the share and the number of streams that were let down."""
    return HEAD + "\n".join(
        (
            _group("llm-objectives", [_finished(), *_recorded(SHORT_WINDOWS)]),
            _group("llm-objectives-long", _recorded(LONG_WINDOWS), interval="2m"),
        )
    )


def burn_rate_alerts() -> str:
    """Return rules/burn_rates.yml: an alert for each objective and speed."""
    alerts = (
        _alert(objective, burn, pace)
        for objective in OBJECTIVES
        for pace, burns in (("Fast", FAST), ("Slow", SLOW))
        for burn in burns
    )
    return HEAD + _group("llm-burn-rates", alerts)


def _group(name: str, rules: Iterable[str], *, interval: str = "") -> str:
    head = f"  - name: {name}\n" + (f"    interval: {interval}\n" if interval else "") + "    rules:\n"
    return head + "\n".join(rules)


def _finished() -> str:
    return _record("job:llm_streams_finished:rate5m", "sum by (job) (rate(llm_streams_finished_total[5m]))")


def _recorded(windows: Sequence[str]) -> list[str]:
    ratios = [_ratio(objective, window) for objective in OBJECTIVES for window in windows]
    counts = [_count(objective, window) for objective in OBJECTIVES for window in windows if window in BURN_WINDOWS]
    return [*ratios, *counts]


def _ratio(objective: Objective, window: str) -> str:
    kept, all_ = (f"sum by (job) (rate({series}[{window}]))" for series in (objective.kept, objective.all))
    return _record(f"job:llm_{objective.name}:error_ratio_rate{window}", f"1 - {kept}\n/ {all_}")


def _count(objective: Objective, window: str) -> str:
    kept, all_ = (f"sum by (job) (increase({series}[{window}]))" for series in (objective.kept, objective.all))
    return _record(f"job:llm_{objective.name}:errors_increase{window}", f"{all_}\n- {kept}")


def _record(name: str, expression: str) -> str:
    return f"      - record: {name}\n        expr: |\n{_indented(expression)}\n"


def _alert(objective: Objective, burn: Burn, pace: str) -> str:
    recorded, here = f"job:llm_{objective.name}", '{job="gateway"}'  # the gateway's streams are what people had
    limit = f"{burn.factor:g} * {objective.budget:g}"
    expression = (
        f"{recorded}:error_ratio_rate{burn.long}{here} > {limit}\n"
        f"and {recorded}:error_ratio_rate{burn.short}{here} > {limit}\n"
        f"and {recorded}:errors_increase{burn.long}{here} >= {FEWEST}"
    )
    name = f"LLM{objective.title}BudgetBurn"
    return f"""\
      - alert: {name}{pace}
        expr: |
{_indented(expression)}
        for: {burn.hold}
        labels:
          severity: {burn.severity}
          long: {burn.long}
          short: {burn.short}
        annotations:
          summary: "{{{{ $value | humanizePercentage }}}} of the streams of the last {burn.long} {objective.broken}"
          description: >-
            At most {100 * objective.budget:g} % may. At {burn.factor:g} times that, the budget of {DAYS} days is spent
            in {DAYS / burn.factor:.2g} days. {objective.look}
          runbook_url: docs/runbooks/{name}.md
"""


def _indented(expression: str) -> str:
    return "\n".join(f"          {line}" for line in expression.split("\n"))
