"""Defaults of the command line that a person can set once, in the environment.

Not a `ProcessSettings`: those are servers', which listen and log, and reading them takes pydantic 0.15 s to import,
a third of what the terminal chat may take to start.
"""

from collections.abc import Mapping
from typing import Final

from services.runtime.environment import LOG_FORMAT, LOG_LEVEL, SettingRow, unknown_names

PREFIX: Final = "SLUICE_TERM_"
URL, KEY_FILE, HEADER, CACERT, MODEL, SYSTEM = (
    PREFIX + name for name in ("URL", "KEY_FILE", "HEADER", "CACERT", "MODEL", "SYSTEM")
)
GATEWAY: Final = "http://127.0.0.1:3001"
PROXY: Final = "http://127.0.0.1:8080"
ROWS: Final = (
    SettingRow(URL, GATEWAY, "the gateway, as the terminal chat reaches it: http(s)://host[:port][/path]"),
    SettingRow(KEY_FILE, "", "a file with the key that the terminal chat sends; empty = none"),
    SettingRow(HEADER, "", "a header that the terminal chat sends with every request: Name: value"),
    SettingRow(CACERT, "", "a file of certificates that the terminal chat trusts instead of the system's"),
    SettingRow(MODEL, "", "the model that the terminal chat asks; empty = the gateway's default"),
    SettingRow(SYSTEM, "", "the terminal chat's system prompt; empty = friendly and concise"),
)


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Return one line for each variable of ours that nobody knows."""
    return unknown_names(environ, {*(row.name for row in ROWS), LOG_LEVEL, LOG_FORMAT}, PREFIX)
