"""Which variables of the environment are ours, and which was meant where one is unknown. Pure."""

import difflib
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

OURS: Final = "SLUICE_"
# TEST is the suite's, whose processes inherit its environment
PROCESS_PREFIXES: Final = tuple(f"{OURS}{name}_" for name in ("PROXY", "GATEWAY", "WEB", "TERM", "SIMULATOR", "TEST"))
LOG_LEVEL: Final = f"{OURS}LOG_LEVEL"
LOG_FORMAT: Final = f"{OURS}LOG_FORMAT"


class SettingRow(NamedTuple):
    """One setting as docs/settings.md and ``--help`` show it; ``default`` is what one would write in the variable."""

    name: str
    default: str
    description: str


def unknown_names(environ: Iterable[str], known: Collection[str], prefix: str) -> list[str]:
    """Return one line for each ``SLUICE_*`` name that the process with this prefix does not know.

    Args:
        environ: names of variables.
        known: those that it knows.
        prefix: its own; names with another process's are that one's to judge.
    """
    others = tuple(other for other in PROCESS_PREFIXES if other != prefix)
    suspects = [name for name in environ if name.startswith(OURS) and name not in known and not name.startswith(others)]
    return [f"{name}: unknown{_nearest(name, known)}" for name in sorted(suspects)]


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean …?)" with the nearest known name, or with the same name under a nearer prefix."""
    rest = name.removeprefix(OURS).partition("_")[2]
    moved = {prefix + rest for prefix in PROCESS_PREFIXES if rest} - {name}
    near = difflib.get_close_matches(name, [*known, *moved], n=1)
    return f" (did you mean {near[0]}?)" if near else ""
