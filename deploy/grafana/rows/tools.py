"""Row I: what do the tools do that run in the middle of answers?"""

from typing import Final

from deploy.grafana.limits import TOOL_SERVERS
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import PROXY, quantile, rate

ROW: Final = Row(
    "I · Tools",
    panels=(
        Panel(
            "Calls of tools",
            "Calls in a second, by tool and how they ended; refused, expired and not_run did not run, and _OTHER is a "
            "tool that is not offered.",
            Unit.PER_SECOND,
            (Query(f"{rate('llm_tool_calls_total', 'tool', 'outcome', where=PROXY)} > 0", "{{tool}}: {{outcome}}"),),
            View.STACK,
        ),
        Panel(
            "Time of a tool, p95",
            "How long the slowest twentieth of the calls of each tool took: readers wait meanwhile.",
            Unit.SECONDS,
            (Query(quantile(0.95, "llm_tool_call_duration_seconds", "tool", where=PROXY), "{{tool}}"),),
        ),
        Panel(
            "Servers of tools",
            "Whether the tools of each server can be called; while they cannot, models are not offered them.",
            Unit.YES_NO,
            (Query(f"min by (server) (llm_tool_server_up{{{PROXY}}})", "{{server}}"),),
            View.STATES,
            limit=TOOL_SERVERS,
        ),
    ),
)
