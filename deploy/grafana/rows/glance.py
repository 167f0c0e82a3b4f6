"""Row A: are people being served, how fast is the first word, how fast are the others?"""

from typing import Final

from deploy.grafana.limits import AVAILABILITY, BUDGET_LEFT, FIRST_TOKEN, GOOD, TIME_PER_TOKEN
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import GATEWAY, MODELS, PROXY, READERS, quantile, rate, ratio

TTFT: Final = "gen_ai_server_time_to_first_token_seconds"

ROW: Final = Row(
    "A · At a glance",
    heights=(4,),
    panels=(
        Panel(
            "Error budget left",
            "What is left of the failures that the objective allows, over the last three days. Below zero more answers "
            "failed than were promised to.",
            Unit.SHARE,
            (Query(f"1 - job:llm_availability:error_ratio_rate3d{{{GATEWAY}}} / {AVAILABILITY.budget:g}"),),
            View.NUMBER,
            limit=BUDGET_LEFT,
            width=3,
        ),
        Panel(
            "Good answers",
            "The share of answers that were good in every way at once: whole, the first token within 2 s, 20 tokens a "
            "second or more, no silence over 1 s. Answers that their reader left are not judged.",
            Unit.SHARE,
            (
                Query(
                    ratio(
                        rate("llm_goodput_requests_total", where=f'{READERS},good="true"'),
                        rate("llm_goodput_requests_total", where=READERS),
                    )
                ),
            ),
            View.NUMBER,
            limit=GOOD,
            width=3,
        ),
        Panel(
            "Time to first token",
            "From the request's arrival at the gateway to the first thinking, text or tool call: the middle reader, "
            "the slowest of twenty, the slowest of a hundred. Who left before is not in it: row D counts them.",
            Unit.SECONDS,
            tuple(
                Query(quantile(share, TTFT, where=READERS), legend)
                for share, legend in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
            ),
            View.NUMBER,
            limit=FIRST_TOKEN,
            width=6,
        ),
        Panel(
            "Time per token, p95",
            "The pace behind the first token, of the slowest answer of twenty. 50 ms are 20 tokens a second, some "
            "three times as fast as people read.",
            Unit.SECONDS,
            (Query(quantile(0.95, "gen_ai_server_time_per_output_token_seconds", where=READERS)),),
            View.NUMBER,
            limit=TIME_PER_TOKEN,
            width=3,
        ),
        Panel(
            "Readers now",
            "Who reads an answer or waits for one; who of them waits in line for a permit; and how many the gateways "
            "take at most.",
            Unit.COUNT,
            (
                Query(f"sum(llm_streams_active{{{READERS}}})", "readers"),
                Query(f"sum(llm_admission_queue_length{{{PROXY}}})", "in line"),
                Query(f"sum(llm_admission_slots{{{GATEWAY}}})", "at most"),
            ),
            View.NUMBER,
            width=6,
        ),
        Panel(
            "Output",
            "Tokens that all models together made in a second, as the model server counted them at the end of each "
            "answer.",
            Unit.TOKENS_PER_SECOND,
            (Query(rate("llm_tokens_total", where=f'{MODELS},type="output"')),),
            View.NUMBER,
            width=3,
        ),
    ),
)
