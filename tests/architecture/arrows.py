"""Who may import whom, as data: ARCHITECTURE.md, "Folders, and who may import whom". Every row is about what exists.

A new module is given its place here; `rules` reads the tables, and `test_rules` plants breaches of them.
"""

from collections.abc import Mapping
from typing import Final

# package -> packages of ours that it may import, beside itself
_SERVICES: Final = ("services.wire", "services.dialects", "services.http", "services.telemetry", "services.runtime")
ARROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "services.wire": (),
    "services.runtime": (),
    "services.dialects": ("services.wire",),
    "services.http": ("services.runtime",),
    "services.telemetry": ("services.runtime", "services.http"),
    "services.simulator": ("services.runtime",),
    "services.termchat": ("services.wire", "services.runtime", "services.http"),
    "services.webchat": ("services.wire", "services.runtime", "services.http"),
    "proxy": _SERVICES,
    "gateway": _SERVICES,
    "deploy": ("services.runtime", "services.wire"),
}

# server -> its floors from the top down; a module imports from its own floor and from those below. That metrics, report
# and app stand above the rooms means that no room knows them: it is handed a Protocol of facts.
FLOORS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "proxy": (
        ("__main__",),
        ("app",),
        ("report",),
        ("metrics",),
        ("routes",),
        ("upstream",),
        ("config",),
        ("providers",),
        ("streams",),
        ("errors",),
        ("settings",),
    ),
    "gateway": (
        ("__main__",),
        ("app",),
        ("report",),
        ("metrics",),
        ("routes",),
        ("relay",),
        ("limits",),
        ("guard",),
        ("store",),
        ("errors",),
        ("languages",),
        ("settings",),
    ),
}

# These say "Pure." in their docstrings, and a package says it for all that is in it. Others may say it, too.
PURE: Final = (
    "services.wire",
    "services.http.chunk",
    "services.telemetry.stages",
    "services.telemetry.timeline",
    "services.runtime.environment",
    "services.termchat.commands",
    "services.termchat.conversation",
    "services.termchat.exit_codes",
    "services.termchat.answer_events",
    "services.termchat.blocks",
    "services.termchat.fences",
    "services.termchat.following",
    "services.termchat.sanitizing",
    "services.termchat.coalescing",
    "services.termchat.wording",
    "services.termchat.server_url",
    "services.termchat.saved",
    "services.termchat.stopping",
    "proxy.config",
    "proxy.providers",
    "services.dialects",
    "proxy.streams.presence",
    "proxy.streams.log",
    "proxy.streams.caller",
    "proxy.streams.fair_line",
    "proxy.upstream.breaker",
    "proxy.upstream.condition",
    "proxy.upstream.ending",
    "proxy.upstream.fallback",
    "proxy.upstream.pool",
    "proxy.upstream.retry",
    "proxy.upstream.retry_budget",
    "proxy.upstream.wedge",
    "proxy.streams.timeline",
    "gateway.relay.choice",
    "gateway.relay.standing",
    "gateway.relay.timeline",
    "gateway.relay.goodput",
    "gateway.limits.allowance",
    "gateway.limits.counts",
    "gateway.limits.day",
    "gateway.limits.rate",
    "gateway.limits.scripts",
    "gateway.limits.usage",
    "gateway.store.cursor",
    "gateway.store.rows",
    "gateway.store.shapes",
    "gateway.store.words",
    "gateway.guard.address",
    "gateway.guard.credential",
    "gateway.guard.key_text",
    "gateway.guard.keyring",
    "gateway.guard.keys",
    "gateway.guard.scopes",
    "gateway.guard.wrong_keys",
    "deploy.grafana.promql",
    "deploy.grafana.panel",
    "deploy.grafana.json_model",
    "deploy.grafana.limits",
    "deploy.grafana.rows",
)
