"""Row D: how do answers end?"""

from typing import Final

from deploy.grafana.limits import BURN, FAILED
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import GATEWAY, PROCESSES, READERS, rate
from deploy.prometheus.objectives import FAILED as FAILURES
from deploy.prometheus.objectives import OBJECTIVES, SERVED


def _ended(how: str) -> str:
    return f"{rate('llm_streams_finished_total', 'reason', where=f'{READERS},{how}')} > 0"


ROW: Final = Row(
    "D · How answers end",
    panels=(
        Panel(
            "Ends of answers",
            "Connections of readers by how they ended. Green are answers, blue is what was the reader's wish or fault, "
            "red are failures of ours or the model server's, by their code.",
            Unit.PER_SECOND,
            (
                Query(_ended(f'reason=~"{SERVED}"'), "{{reason}}", shades="green"),
                Query(_ended(f'reason!~"{SERVED}|{FAILURES}"'), "{{reason}}", shades="blue"),
                Query(_ended(f'reason=~"{FAILURES}"'), "{{reason}}", shades="red"),
            ),
            View.STACK,
            width=12,
        ),
        Panel(
            "Failed answers",
            "The share of answers that failed by our doing or the model server's, in five minutes; ends that were the "
            "client's wish or fault count neither way.",
            Unit.SHARE,
            (Query("job:llm_availability:error_ratio_rate5m", "{{job}}"),),
            limit=FAILED,
            width=6,
        ),
        Panel(
            "Burn rate of an hour",
            "How many times faster than allowed each budget of thirty days is used up. At 1 it just lasts; at 14.4 it "
            "is gone in two days, and somebody is called.",
            Unit.COUNT,
            tuple(
                Query(f"job:llm_{one.name}:error_ratio_rate1h{{{GATEWAY}}} / {one.budget:g}", one.name)
                for one in OBJECTIVES
            ),
            limit=BURN,
            width=6,
        ),
        Panel(
            "HTTP",
            "Requests in a second by server, path and status; no status is a client that left first.",
            Unit.PER_SECOND,
            (
                Query(
                    rate(
                        "http_server_request_duration_seconds_count",
                        *("job", "http_route", "http_response_status_code"),
                        where=PROCESSES,
                    ),
                    "{{job}} {{http_route}} {{http_response_status_code}}",
                ),
            ),
            width=9,
        ),
        Panel(
            "Refused at the door",
            "Who was not let in, by code: the server was full, or stopping.",
            Unit.PER_SECOND,
            (Query(rate("llm_admission_rejected_total", "job", "reason", where=PROCESSES), "{{job}} {{reason}}"),),
            width=5,
        ),
        Panel(
            "Retries",
            "Attempts beyond the first, by whose failure was the cause: at the proxy a model server's, at the gateway "
            "the proxy's.",
            Unit.PER_SECOND,
            (Query(rate("llm_upstream_retries_total", "server", "reason", where=PROCESSES), "{{server}} {{reason}}"),),
            width=5,
        ),
        Panel(
            "Against the protocol",
            "What the next server sent and should not have: lines that are none, answers without an end.",
            Unit.PER_SECOND,
            (Query(rate("llm_protocol_violations_total", "peer", "kind", where=PROCESSES), "{{peer}} {{kind}}"),),
            width=5,
        ),
    ),
)
