"""Who may import whom, as data: ARCHITECTURE.md, "Folders, and who may import whom". Every row is about what exists.

A new module is given its place here; `rules` reads the tables, and `test_rules` plants breaches of them.
"""

from collections.abc import Mapping
from typing import Final

# package -> packages of ours that it may import, beside itself
ARROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "services.wire": (),
    "services.runtime": (),
    "services.simulator": ("services.runtime",),
    "services.webchat": ("services.runtime",),
    "proxy": ("services.runtime", "services.wire"),
    "gateway": ("services.runtime", "services.wire"),
    "deploy": ("services.runtime", "services.wire"),
}

# server -> its floors from the top down; a module imports from its own floor and from those below
FLOORS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "proxy": (
        ("__main__",),
        ("app",),
        ("handlers", "ollama_handlers", "embedding"),
        ("reception",),
        ("metrics", "report", "pages", "requests"),
        ("producer", "streams"),
        ("wedge_watch",),
        ("upstream_call", "phases"),
        ("stream",),
        ("follower", "timeline", "admission", "chain", "wedge", "transport", "presence", "status_throttle"),
        ("providers", "dialects"),
        ("stream_log", "caller"),
        ("errors",),
        ("settings",),
    ),
    "gateway": (
        ("__main__",),
        ("app",),
        ("handlers",),
        ("reception",),
        ("report", "hops"),
        ("metrics",),
        ("connection",),
        ("relay", "gathering", "catalog"),
        ("capabilities",),
        ("hop", "timeline", "goodput", "cors", "upstream", "beacon"),
        ("errors",),
        ("settings",),
    ),
}

# These say "Pure." in their docstrings, and a package says it for all that is in it. Others may say it, too.
PURE: Final = (
    "services.wire",
    "services.runtime.stages",
    "proxy.providers",
    "proxy.dialects",
    "proxy.presence",
    "proxy.stream_log",
    "proxy.caller",
    "proxy.chain",
    "proxy.wedge",
    "proxy.timeline",
    "gateway.timeline",
    "gateway.goodput",
)
