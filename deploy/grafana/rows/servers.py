"""Row H: where there are several model servers, who answers, and why not the first?"""

from typing import Final

from deploy.grafana.limits import BREAKERS, GOING_ON, PROVIDER_KEYS
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import MODEL, MODELS, PROXY, rate, ratio

ROW: Final = Row(
    "H · Several model servers",
    panels=(
        Panel(
            "Answered by",
            "Whole answers in a second, by the kind of the model server that gave them: what is not ollama costs "
            "money, and left the house.",
            Unit.PER_SECOND,
            (
                Query(
                    rate(
                        "gen_ai_server_request_duration_seconds_count",
                        "gen_ai_provider_name",
                        where=f'{MODELS},error_type=""',
                    ),
                    "{{gen_ai_provider_name}}",
                ),
            ),
            View.STACK,
        ),
        Panel(
            "Steps to the next",
            "From which server streams went on to which, and why: the words are in docs/providers.md.",
            Unit.PER_SECOND,
            (
                Query(
                    f"{rate('llm_fallbacks_total', 'from', 'to', 'code', where=PROXY)} > 0",
                    "{{from}} to {{to}}: {{code}}",
                ),
            ),
            View.STACK,
        ),
        Panel(
            "Breakers",
            "At 0 a server's model is asked, at 1 one stream may try, at 2 it is left alone since it failed again and "
            "again.",
            Unit.COUNT,
            (
                Query(
                    f"max by (upstream, {MODEL}) (llm_upstream_circuit_state{{{MODELS}}})",
                    f"{{{{upstream}}}} {{{{{MODEL}}}}}",
                ),
            ),
            View.STATES,
            limit=BREAKERS,
        ),
        Panel(
            "Going on",
            "Steps to a next server in proportion to the answers: how often the one whose turn it is does not answer.",
            Unit.SHARE,
            (
                Query(
                    ratio(rate("llm_fallbacks_total", where=PROXY), rate("llm_streams_finished_total", where=PROXY)),
                    "of the answers",
                ),
            ),
            limit=GOING_ON,
        ),
        Panel(
            "Keys of the model servers",
            "Whether each key is good, as far as it is known: with a bad one its server is passed by.",
            Unit.YES_NO,
            (Query(f"min by (server) (llm_provider_key_ok{{{PROXY}}})", "{{server}}"),),
            View.STATES,
            limit=PROVIDER_KEYS,
        ),
        Panel(
            "In line at",
            "Who waits for whom: a pool has one line, with all its names.",
            Unit.COUNT,
            (Query(f"sum by (server) (llm_admission_queue_length{{{PROXY}}})", "{{server}}"),),
        ),
    ),
)
