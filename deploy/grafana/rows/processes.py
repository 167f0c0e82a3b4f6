"""Row F: how are the gateways and proxies themselves?"""

from typing import Final

from deploy.grafana.limits import BLOCKED, LOOP_LAG, OPEN_FILES, SAMPLES
from deploy.grafana.panel import Panel, Query, Row, Unit, View
from deploy.grafana.promql import PROCESSES, quantile, rate

PROCESS: Final = ("job", "instance")
NAME: Final = "{{job}} {{instance}}"

ROW: Final = Row(
    "F · Our processes",
    panels=(
        Panel(
            "Event loop lag, p99",
            "How late a timer of 100 ms fires: so long every token waits. A busy process, or a call that blocks.",
            Unit.SECONDS,
            (Query(quantile(0.99, "llm_event_loop_lag_seconds", *PROCESS, where=PROCESSES), NAME),),
            limit=LOOP_LAG,
            width=6,
        ),
        Panel(
            "Processor",
            "Of one core. Each process has one event loop: near 100 % another gateway helps, another core does not.",
            Unit.SHARE,
            (Query(rate("process_cpu_seconds_total", *PROCESS, where=PROCESSES), NAME),),
            width=6,
        ),
        Panel(
            "Memory",
            "Resident memory, and of it what the proxy holds in the logs of answers.",
            Unit.BYTES,
            (
                Query(f"process_resident_memory_bytes{{{PROCESSES}}}", NAME),
                Query(f"llm_stream_log_bytes{{{PROCESSES}}}", f"{NAME}: logs"),
            ),
            width=6,
        ),
        Panel(
            "Open files",
            "Of those allowed: a gateway needs two and a half a reader.",
            Unit.SHARE,
            (Query(f"process_open_fds{{{PROCESSES}}} / process_max_fds{{{PROCESSES}}}", NAME),),
            limit=OPEN_FILES,
            width=6,
        ),
        Panel(
            "Slow readers",
            "How many readers at once took nothing though more was there for them. They slow themselves alone; many "
            "of them are a network, or an edge that gathers.",
            Unit.COUNT,
            (Query(rate("llm_client_blocked_seconds_total", "job", where=PROCESSES), "{{job}}"),),
            limit=BLOCKED,
            width=6,
        ),
        Panel(
            "Most bytes on their way",
            "Of the reader that has most still to take, our buffer and the kernel's together.",
            Unit.BYTES,
            (Query(f"llm_client_unsent_bytes_max{{{PROCESSES}}}", NAME),),
            width=6,
        ),
        Panel(
            "Garbage collection",
            "How much of a second a process stands still for it, by generation.",
            Unit.SHARE,
            (
                Query(
                    rate("python_gc_pause_seconds_sum", "job", "generation", where=PROCESSES), "{{job}} {{generation}}"
                ),
            ),
            width=6,
        ),
        Panel(
            "Tasks, and connections to the next server",
            "Both come back to where they were between answers, or something leaks.",
            Unit.COUNT,
            (
                Query(f"sum by (job) (llm_event_loop_tasks{{{PROCESSES}}})", "{{job}} tasks"),
                Query(f"sum by (job, state) (llm_upstream_connections{{{PROCESSES}}})", "{{job}} {{state}}"),
            ),
            width=6,
        ),
        Panel(
            "Samples of a scrape",
            "Series that each process shows. They grow with the models that are asked for, and stop at twenty.",
            Unit.COUNT,
            (Query(f"scrape_samples_scraped{{{PROCESSES}}}", NAME),),
            limit=SAMPLES,
            width=6,
        ),
        Panel(
            "Time of a scrape",
            "How long a process takes to show its metrics; in a thread, so that tokens need not wait for it.",
            Unit.SECONDS,
            (Query(f"scrape_duration_seconds{{{PROCESSES}}}", NAME),),
            width=6,
        ),
        Panel(
            "Versions",
            "How many processes run which version: two of one job are an upgrade that is under way.",
            Unit.COUNT,
            (
                Query(
                    f"count by (job, version, revision) (llm_build_info{{{PROCESSES}}})",
                    "{{job}} {{version}} {{revision}}",
                ),
            ),
            View.NUMBER,
            width=6,
        ),
        Panel(
            "Log lines, and what was lost",
            "Lines by level; lines that were dropped since nobody read them; label values that became `_OTHER`.",
            Unit.PER_SECOND,
            (
                Query(rate("llm_log_events_total", "level", where=PROCESSES), "{{level}}"),
                Query(rate("llm_log_dropped_total", where=PROCESSES), "lost lines"),
                Query(rate("llm_telemetry_dropped_labels_total", where=PROCESSES), "lost labels"),
            ),
            width=6,
        ),
    ),
)
