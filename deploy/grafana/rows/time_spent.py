"""Row B: where does the time go?"""

from typing import Final

from deploy.grafana.limits import ADDED, FIRST_TOKEN
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import CHOSEN, GATEWAY, READERS, buckets, mean, quantile, rate
from deploy.grafana.rows.glance import TTFT

DURATION: Final = "gen_ai_server_request_duration_seconds"
STAGE: Final = "llm_stage_duration_seconds"
FIRST_CHUNK: Final = "gen_ai_client_operation_time_to_first_chunk_seconds"

ROW: Final = Row(
    "B · Where the time goes",
    heights=(8, 7),
    panels=(
        Panel(
            "A request's time, by stage",
            "Mean seconds of a request, each stage counted by the server that owns it, so that both add up. The line "
            "is the whole as the gateway timed it: where the stack is far below it, time is lost that no stage owns; "
            "above it are answers that went on without a reader.",
            Unit.SECONDS,
            (
                Query(
                    f"{rate(f'{STAGE}_sum', 'job', 'stage', where=CHOSEN)} / on() group_left() "
                    f"{rate(f'{DURATION}_count', where=READERS)}",
                    "{{job}} {{stage}}",
                ),
                Query(mean(DURATION, where=READERS), "whole request", apart=True),
            ),
            View.STACK,
            width=12,
        ),
        Panel(
            "Stages, p95",
            "Each stage of the slowest request of twenty. These do not add up: the slow load and the slow prefill are "
            "hardly the same request's.",
            Unit.SECONDS,
            (Query(quantile(0.95, STAGE, "job", "stage", where=CHOSEN), "{{job}} {{stage}}"),),
            width=12,
        ),
        Panel(
            "First token, the gateway's share",
            "Mean time to first token at the gateway, less the mean time that the proxy took to send it: what the "
            "gateway itself and its admission cost.",
            Unit.SECONDS,
            (Query(f"{mean(TTFT, where=READERS)} - {mean(FIRST_CHUNK, where=READERS)}", "gateway"),),
            width=6,
        ),
        Panel(
            "Added latency, p99",
            "What a server of ours itself adds: to the first token and to the whole answer, retries and their pauses "
            "included, the waiting line left out; and to a chunk between reading and writing it.",
            Unit.SECONDS,
            (Query(quantile(0.99, "llm_added_latency_seconds", "job", "path", where=""), "{{job}} {{path}}"),),
            limit=ADDED,
            width=6,
        ),
        Panel(
            "Time to first token, all of them",
            "How many readers waited how long. Two bands are two kinds of requests: a loaded and a cold model, say.",
            Unit.SECONDS,
            (Query(buckets(TTFT, READERS), "{{le}}"),),
            View.HEATMAP,
            width=6,
        ),
        Panel(
            "First token, browser and gateway, p95",
            "What pages say that their readers waited, from Send to the first painted text, beside what the gateway "
            "measured. The gap is the network to the people, and their browsers.",
            Unit.SECONDS,
            (
                Query(quantile(0.95, "llm_browser_time_to_first_token_seconds", where=GATEWAY), "browser"),
                Query(quantile(0.95, TTFT, where=GATEWAY), "gateway"),
            ),
            limit=FIRST_TOKEN,
            width=6,
        ),
    ),
)
