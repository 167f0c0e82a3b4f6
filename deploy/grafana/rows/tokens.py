"""Row C: how smoothly do words come, how many, how long?"""

from typing import Final

from deploy.grafana.limits import FIRST_TOKEN, PACE, STANDING_STILL
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import MODEL, MODELS, READERS, beyond, buckets, quantile, rate
from deploy.grafana.rows.glance import TTFT
from deploy.prometheus.objectives import GAP_S

ROW: Final = Row(
    "C · The flow of tokens",
    panels=(
        Panel(
            "Gaps between chunks",
            "How often which silence stood between two reads with content, as the gateway saw them. A steady model is "
            "one narrow band; a second one above it is stutter.",
            Unit.SECONDS,
            (Query(buckets("gen_ai_client_operation_time_per_output_chunk_seconds", READERS), "{{le}}"),),
            View.HEATMAP,
        ),
        Panel(
            "Answers that stood still",
            "The share of answers with a silence of more than a second in their middle: the objective of smoothness.",
            Unit.SHARE,
            (Query(beyond(GAP_S, "llm_stream_max_gap_seconds", READERS), "over 1 s"),),
            limit=STANDING_STILL,
        ),
        Panel(
            "Pace of the slowest tenth",
            "Tokens per second that nine of ten answers surpass, by model. Under 20 people wait for words.",
            Unit.TOKENS_PER_SECOND,
            (Query(quantile(0.1, "llm_output_tokens_per_second", MODEL, where=READERS), f"{{{{{MODEL}}}}}"),),
            limit=PACE,
        ),
        Panel(
            "Tokens, read and made",
            "Tokens in a second, of prompts and of answers, as the model server counted them: an answer's come with "
            "its end.",
            Unit.TOKENS_PER_SECOND,
            (Query(rate("llm_tokens_total", "type", where=MODELS), "{{type}}"),),
        ),
        Panel(
            "First token and first answer, p95",
            "An answer begins behind the model's thinking: the difference is what people see of a model that thinks.",
            Unit.SECONDS,
            (
                Query(quantile(0.95, TTFT, where=READERS), "first token"),
                Query(quantile(0.95, "llm_time_to_first_answer_seconds", where=READERS), "first of the answer"),
            ),
            limit=FIRST_TOKEN,
        ),
        Panel(
            "Lengths, p95",
            "Tokens of the longest prompt, and of the longest answer, of twenty. Long prompts are long prefills.",
            Unit.TOKENS,
            (Query(quantile(0.95, "llm_request_tokens", "type", where=MODELS), "{{type}}"),),
        ),
    ),
)
