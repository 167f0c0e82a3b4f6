"""Row G: who uses it, and whom do the limits of keys hold back?"""

from typing import Final

from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import GATEWAY, READERS, rate

_HELD_BACK: Final = 'reason=~"rate_limited|concurrency_limited"'

ROW: Final = Row(
    "G · Keys",
    panels=(
        Panel(
            "Tokens by key",
            "Tokens of prompts and answers in a second, by the id of the key that asked, where "
            "SLUICE_GATEWAY_KEY_METRICS wants that; _OTHER is everybody else.",
            Unit.TOKENS_PER_SECOND,
            (Query(rate("llm_key_tokens_total", "key_id", where=GATEWAY), "{{key_id}}"),),
            View.STACK,
            width=12,
        ),
        Panel(
            "Held back by a limit",
            "Requests in a second that were told to come back: a key asks more often than it may, has used its day, or "
            "has as many answers running as it may have.",
            Unit.PER_SECOND,
            (Query(rate("llm_streams_finished_total", "reason", where=f"{READERS},{_HELD_BACK}"), "{{reason}}"),),
            width=7,
        ),
        Panel(
            "Gateways that count alone",
            "At 1 while a gateway cannot have the limits that all of them share, and counts its share: Valkey is away, "
            "full, or slow.",
            Unit.COUNT,
            (Query(f"max by (instance) (llm_limits_degraded{{{GATEWAY}}})", "{{instance}}"),),
            width=5,
        ),
    ),
)
