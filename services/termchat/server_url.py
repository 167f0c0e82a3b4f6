"""Where a server is reached, as a person writes it. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Self

_LABEL: Final = "[A-Za-z0-9_-]{1,63}"  # a longer one is no name (RFC 1035, 2.3.4)
_URL: Final = re.compile(
    rf"(?:(https?)://)?(\[[0-9A-Fa-f:.]+\]|{_LABEL}(?:\.{_LABEL})*\.?)(?::([0-9]{{1,5}}))?((?:/[A-Za-z0-9._~%-]+)*)/?"
)
_PORTS: Final = {"http": 80, "https": 443}
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A server: ``http`` or ``https``, host, port, and the path that its routes lie under ("" or "/sluice")."""

    scheme: str
    host: str
    port: int
    base: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the place that a URL means; without a scheme it is http.

        Raises:
            ValueError: it is none; credentials and a query have no place in it. The message does not repeat it.
        """
        match = _URL.fullmatch(text.strip())
        if match is None or int(match[3] or 1) > _MAX_PORT:
            raise ValueError("expected http(s)://host[:port][/path], without credentials or a query")
        scheme = match[1] or "http"
        return cls(scheme, match[2].strip("[]"), int(match[3] or _PORTS[scheme]), match[4])

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken there."""
        return self.scheme == "https"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.base}"
