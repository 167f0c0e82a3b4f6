"""Where a model server is, as its operator writes it: scheme, host, port and, where its language has one, a path."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Literal, Self, cast

_URL: Final = re.compile(
    r"(https?)://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?(/[A-Za-z0-9._~/-]*)?"
)
_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65_535
_PRIVATE_SUFFIXES: Final = (".local", ".localhost", ".internal", ".lan", ".home.arpa")


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A model server's address; ``path`` has no slash at its end."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "http[s]://host[:port][/path]".

        Raises:
            ValueError: its message says what was expected and never quotes ``text``, in which a secret may stand.
        """
        match = _URL.fullmatch(text)
        if match is None or int(match[4] or 0) > _MAX_PORT:
            raise ValueError("expected http[s]://host[:port][/path] without credentials or query")
        scheme = cast("Literal['http', 'https']", match[1])
        return cls(scheme, match[2] or match[3], int(match[4] or _PORTS[scheme]), (match[5] or "").rstrip("/"))

    @property
    def is_private(self) -> bool:
        """Whether it is on this machine or the operator's own network.

        A name without a dot is: no public name has none, and services of a compose file are called so.
        """
        if self._ip is None:
            return "." not in self.host or self.host.lower().endswith(_PRIVATE_SUFFIXES)
        return self.is_private_address

    @property
    def is_private_address(self) -> bool:
        """Whether it is written as a loopback or private address: a name may be looked up to any other."""
        ip = self._ip
        return self.host.lower() == "localhost" if ip is None else ip.is_loopback or ip.is_private

    @property
    def is_loopback(self) -> bool:
        """Whether it is written as an address of this machine."""
        ip = self._ip
        return self.host.lower() == "localhost" if ip is None else ip.is_loopback

    @property
    def _ip(self) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:  # a name
            return None
