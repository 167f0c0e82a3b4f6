"""Who may ask: Ollama's check of Origin, and of Host where it listens on a loopback address."""

import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from services.runtime.settings import Address

_LOCAL_SUFFIXES: Final = (".localhost", ".local", ".internal")
_LOCAL_ORIGINS: Final = frozenset({"localhost", "127.0.0.1", "0.0.0.0"})  # noqa: S104 compared with, not listened on
_APP_SCHEMES: Final = ("app", "file", "tauri", "vscode-webview", "vscode-file")


def may_ask(fields: Mapping[str, str], listens: Address) -> bool:
    """Return whether a request with these header fields (lower case names) is heard."""
    host = fields.get("host", "")
    return _origin_ok(fields.get("origin", ""), host) and (not listens.is_loopback or _host_ok(host))


def _origin_ok(origin: str, host: str) -> bool:
    if not origin or origin in {f"http://{host}", f"https://{host}"}:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in _APP_SCHEMES or parts.hostname in _LOCAL_ORIGINS


def _host_ok(host: str) -> bool:
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if not name or name == "localhost" or name.endswith(_LOCAL_SUFFIXES):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_unspecified
