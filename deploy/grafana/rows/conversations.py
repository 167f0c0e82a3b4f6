"""Row J: where the gateways keep conversations, are they written?"""

from typing import Final

from deploy.grafana.limits import STORE_AWAY, STORE_FULL
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import GATEWAY, rate

ROW: Final = Row(
    "J · Conversations",
    panels=(
        Panel(
            "Database away",
            "At 1 while a gateway does not reach the database of conversations: nobody can list theirs or go on with "
            "one, and answers wait to be written.",
            Unit.COUNT,
            (Query(f"max by (instance) (llm_store_degraded{{{GATEWAY}}})", "{{instance}}"),),
            limit=STORE_AWAY,
        ),
        Panel(
            "Waits to be written",
            "Bytes of questions and answers that each gateway holds until the database takes them. Beyond the limit "
            "there is no room for more.",
            Unit.BYTES,
            (Query(f"max by (instance) (llm_store_pending_bytes{{{GATEWAY}}})", "{{instance}}"),),
            limit=STORE_FULL,
        ),
        Panel(
            "Not written",
            "Questions, and ends of answers, in a second that were not written: full is no room to wait, unwritable a "
            "database that is there and does not take them.",
            Unit.PER_SECOND,
            (Query(rate("llm_store_lost_total", "reason", where=GATEWAY), "{{reason}}"),),
            View.STACK,
        ),
    ),
)
