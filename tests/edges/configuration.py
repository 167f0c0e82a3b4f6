"""The files of deploy/edge as a test runs them: other ports, addresses and certificates, and not a word else.

What is replaced must be there, so a file that is changed is not tested by halves.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chain import ROOT

FOLDER: Final = ROOT / "deploy" / "edge"
Replacement = tuple[str, str]


@dataclass(frozen=True)
class Place:
    """Where an edge of a test is, and where that which it stands in front of is.

    Args:
        port: at which it speaks TLS, on 127.0.0.1; ``plain_port`` without.
        page: ``host:port``, as the ``gateways`` are.
        folder: for what it writes; it has ``cert.pem``, ``key.pem`` and ``pair/both.pem``.
        version: of the program.
    """

    port: int
    plain_port: int
    page: str
    gateways: Sequence[str]
    folder: Path
    version: tuple[int, ...]


@dataclass(frozen=True)
class Edge:
    """One of the edges: its files, how its program is started, and what of its files names a place."""

    name: str
    files: tuple[str, ...]
    command: tuple[str, ...]
    asked_version: str
    replacements: Callable[[Place], Iterable[Replacement]]
    from_wheel: bool = False

    def written(self, place: Place) -> list[str]:
        """Write the files for ``place`` and return the arguments to start the program with."""
        for name in self.files:
            text = (FOLDER / name).read_text()
            text = pointed(pointed(text, "gateway", 3001, place.gateways), "page", 3000, [place.page])
            (place.folder / name).write_text(text)
        replace_in([place.folder / name for name in self.files], self.replacements(place))
        return [part.format(config=place.folder / self.files[0], folder=place.folder) for part in self.command]


def pointed(text: str, name: str, port: int, addresses: Sequence[str]) -> str:
    """Return ``text`` with a line for each of ``addresses`` in place of each line that has the address of ``name``."""
    one = re.compile(rf"^(?!\s*#)(.*)\b{name}(:|, port_value: ){port}\b(.*\n)", re.MULTILINE)

    def lines(found: re.Match[str]) -> str:
        before, between, after = found.groups()
        return "".join(before + between.join(address.split(":")) + after for address in addresses)

    return one.sub(lines, text)


def replace_in(files: Sequence[Path], replacements: Iterable[Replacement]) -> None:
    """Make the replacements, each of which must find something in one of ``files``."""
    for pattern, replacement in replacements:
        counts = []
        for file in files:
            text, count = re.subn(pattern, replacement, file.read_text())
            file.write_text(text)
            counts.append(count)
        assert sum(counts), f"{files[0].name} no longer says {pattern}"


def certificate_in(folder: Path) -> list[Replacement]:
    return [
        (r"/etc/\w+/certificates/chat\.example\.org\.pem", f"{folder}/cert.pem"),
        (r"/etc/\w+/certificates/chat\.example\.org\.key", f"{folder}/key.pem"),
    ]


def haproxy(place: Place) -> Iterable[Replacement]:
    yield r"bind :8080", f"bind 127.0.0.1:{place.plain_port}"
    yield r"bind :8443", f"bind 127.0.0.1:{place.port}"
    yield "/etc/haproxy/certificates", f"{place.folder}/pair"
    # where the addresses are known there is one server for each
    yield r"server-template (\w+) \d+ (\S+:(\d+))", r"server \1-\3 \2"


def nginx(place: Place) -> Iterable[Replacement]:
    yield "/tmp/", f"{place.folder}/"  # noqa: S108 it is the file's word
    yield "listen 8443 ssl", f"listen 127.0.0.1:{place.port} ssl"
    yield from certificate_in(place.folder)
    if place.version < (1, 25, 1):  # Debian's, a stand-in: until then a word of another directive
        yield r"( ssl);([^;]*?)http2 on;", r"\1 http2;\2"


def caddy(place: Place) -> Iterable[Replacement]:
    own = f"tls {place.folder}/cert.pem {place.folder}/key.pem"
    yield r"\nchat\.example\.org \{", rf"\nhttps://localhost:{place.port} {{\n\tbind 127.0.0.1\n\t{own}"
    yield "admin off", "admin off\n\tauto_https disable_redirects"  # which would take port 80


def traefik(place: Place) -> Iterable[Replacement]:
    yield '":8443"', f'"127.0.0.1:{place.port}"'
    yield "/etc/traefik/traefik-dynamic.yaml", f"{place.folder}/traefik-dynamic.yaml"
    yield from certificate_in(place.folder)


def envoy(place: Place) -> Iterable[Replacement]:
    yield r"address: 0\.0\.0\.0, port_value: 8443", f"address: 127.0.0.1, port_value: {place.port}"
    yield from certificate_in(place.folder)


EDGES: Final = {
    edge.name: edge
    for edge in (
        Edge("nginx", ("nginx.conf",), ("-p", "{folder}", "-c", "{config}", "-g", "daemon off;"), "-v", nginx),
        Edge("haproxy", ("haproxy.cfg",), ("-db", "-f", "{config}"), "-v", haproxy),
        Edge("caddy", ("Caddyfile",), ("run", "--config", "{config}"), "version", caddy, from_wheel=True),
        Edge(
            "traefik",
            ("traefik.yaml", "traefik-dynamic.yaml"),
            ("--configFile={config}",),
            "version",
            traefik,
            from_wheel=True,
        ),
        Edge(
            "envoy",
            ("envoy.yaml",),
            ("-c", "{config}", "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
            "--version",
            envoy,
            from_wheel=True,
        ),
    )
}
