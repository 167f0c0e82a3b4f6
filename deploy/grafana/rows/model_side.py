"""Row E: how are the model server, its models and the waiting line?"""

from typing import Final

from deploy.grafana.limits import COLD_LOADS, PERMITS, REACHED, STOPPING
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import MODEL, MODELS, PROCESSES, PROXY, quantile, rate, ratio

NAME: Final = f"{{{{{MODEL}}}}}"
AT_SERVER: Final = f"{{{{server}}}} {NAME}"

ROW: Final = Row(
    "E · The model's side",
    panels=(
        Panel(
            "Everybody there",
            "Whether each server answers Prometheus, says that it is ready, and reaches the next one; and whether each "
            "model gives content, or is wedged.",
            Unit.YES_NO,
            (
                Query(f"min by (job) (up{{{PROCESSES}}})", "{{job}} scraped"),
                Query(f"min by (job) (llm_ready{{{PROCESSES}}})", "{{job}} ready"),
                Query(f"min by (job, upstream) (llm_upstream_up{{{PROCESSES}}})", "{{job}} reaches {{upstream}}"),
                Query(f"1 - max by ({MODEL}) (llm_model_wedged{{{MODELS}}})", f"{NAME} gives content"),
            ),
            View.STATES,
            limit=REACHED,
            width=12,
        ),
        Panel(
            "Models in memory",
            "Which models are loaded: one that comes and goes makes its readers wait for each load.",
            Unit.YES_NO,
            (Query(f"max by (server, {MODEL}) (ollama_model_loaded{{{MODELS}}})", AT_SERVER),),
            View.STATES,
            width=12,
        ),
        Panel(
            "Cold loads",
            "The share of a model's answers that waited for it to be loaded.",
            Unit.SHARE,
            (
                Query(
                    ratio(
                        rate("ollama_model_loads_total", MODEL, where=MODELS),
                        rate("llm_streams_finished_total", MODEL, where=MODELS),
                    ),
                    NAME,
                ),
            ),
            limit=COLD_LOADS,
        ),
        Panel(
            "Permits taken",
            "How much of what a model may do at once at a server it does. At 100 % readers wait in line.",
            Unit.SHARE,
            (
                Query(
                    f"max by (server, {MODEL}) (llm_permits_in_use{{{MODELS}}} / on (instance, server) group_left () "
                    f"llm_admission_slots{{{PROXY}}})",
                    AT_SERVER,
                ),
            ),
            limit=PERMITS,
        ),
        Panel(
            "Wait in line, p95",
            "How long readers waited for a permit, by what came of it.",
            Unit.SECONDS,
            (Query(quantile(0.95, "llm_admission_wait_seconds", "result", where=PROXY), "{{result}}"),),
        ),
        Panel(
            "Graphics memory",
            "What each loaded model holds of it; none where it runs on the processor.",
            Unit.BYTES,
            (Query(f"max by (server, {MODEL}) (ollama_model_vram_bytes{{{MODELS}}})", AT_SERVER),),
        ),
        Panel(
            "Made for nobody",
            "Content that came when its answer was over, in proportion to the tokens made: a model that goes on for "
            "readers who left.",
            Unit.SHARE,
            (
                Query(
                    ratio(
                        rate("llm_tokens_after_disconnect_total", where=PROXY),
                        rate("llm_tokens_total", where=f'{PROXY},type="output"'),
                    ),
                    "of the tokens made",
                ),
            ),
        ),
        Panel(
            "Time to stop a model, p95",
            "From Stop, or a reader's leaving, to the closed connection to the next server: then the model stops.",
            Unit.SECONDS,
            (Query(quantile(0.95, "llm_upstream_cancel_seconds", "job", where=PROCESSES), "{{job}}"),),
            limit=STOPPING,
        ),
    ),
)
