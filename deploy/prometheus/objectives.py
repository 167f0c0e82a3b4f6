"""Service level objectives: what people are promised, and how fast a promise may be broken unheard. Pure.

The recording rules, the burn rate alerts and the dashboards' thresholds are made of it.
"""

from dataclasses import dataclass
from typing import Final

SERVED: Final = "stop|length|tool_calls|content_filter"
FAILED: Final = "upstream_.*|internal|overloaded|queue_timeout|shutting_down|store_unavailable"
"""Ends that are our doing: those that HTTP calls 5xx. An end that is the client's (it left, it was wrong) is neither
served nor failed, or else a flood of bad requests would hide an outage."""
TTFT_S: Final = 2.0
GAP_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Objective:
    """One promise, kept for a share of all streams.

    Attributes:
        name: as it stands in the names of rules.
        title: as it stands in the names of alerts.
        target: the share of streams for which it is kept.
        broken: what the others do, in words.
        look: where whoever is called looks first.
        all: the series that count the streams that it is about.
        kept: those that count the ones for which it was kept.
    """

    name: str
    title: str
    target: float
    broken: str
    look: str
    all: str
    kept: str

    @property
    def budget(self) -> float:
        """The share of streams that may be let down."""
        return round(1 - self.target, 9)


OBJECTIVES: Final = (
    Objective(
        "availability",
        "Availability",
        target=0.995,
        broken="fail, by our doing or the model server's",
        look="Which end it is, by reason, says whose doing it is: upstream_* is the model server's.",
        all=f'llm_streams_finished_total{{reason=~"{SERVED}|{FAILED}"}}',
        kept=f'llm_streams_finished_total{{reason=~"{SERVED}"}}',
    ),
    Objective(
        "ttft",
        "Ttft",
        target=0.95,
        broken=f"wait more than {TTFT_S:g} s for their first token",
        look="Which stage takes the time says what to do: admission and load are a matter of capacity.",
        all="gen_ai_server_time_to_first_token_seconds_count",
        kept=f'gen_ai_server_time_to_first_token_seconds_bucket{{le="{TTFT_S}"}}',
    ),
    Objective(
        "smoothness",
        "Smoothness",
        target=0.99,
        broken=f"stand still for more than {GAP_S:g} s in the middle",
        look="If the proxy's streams stand still, too, it is the model server; if only the gateway's, it is us.",
        all="llm_stream_max_gap_seconds_count",
        kept=f'llm_stream_max_gap_seconds_bucket{{le="{GAP_S}"}}',
    ),
)


@dataclass(frozen=True, slots=True)
class Burn:
    """A speed at which the budget of thirty days is used up that is told of, as in Google's SRE Workbook, chapter 5.

    Attributes:
        factor: times the speed that would use the budget up in just thirty days.
        long: the window in which the mean speed is that high: it is worth somebody's time.
        short: the one in which it still is: it is not over.
        hold: how long both must be so.
        severity: page, or ticket.
    """

    factor: float
    long: str
    short: str
    hold: str
    severity: str


FAST: Final = (Burn(14.4, "1h", "5m", "2m", "page"), Burn(6, "6h", "30m", "15m", "page"))
SLOW: Final = (Burn(3, "1d", "2h", "1h", "ticket"), Burn(1, "3d", "6h", "3h", "ticket"))
FEWEST: Final = 5
"""Streams that must have been let down within the long window: at night a single one is a tenth of all."""

SHORT_WINDOWS: Final = ("5m", "30m", "1h", "2h")
LONG_WINDOWS: Final = ("6h", "1d", "3d")
"""Of these a rule reads millions of samples: every two minutes is often enough."""
