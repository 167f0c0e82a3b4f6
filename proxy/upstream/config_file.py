"""The configuration file on disk, read once at start: with it all that is wrong with the files that it names."""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from proxy.config.config import Config, NamedFile, ServerConfig
from proxy.config.reading import FILE_BYTES, BadConfig, Fallbacks, read_config
from proxy.config.server_url import ServerUrl
from proxy.settings import ProxySettings
from proxy.upstream.dialling import trusted
from services.runtime.settings import SettingsError

INSTALL_TOOLS: Final = ".venv/bin/python -m pip install --require-hashes -r requirements-tools.lock"
ONE_OLLAMA = "ollama"
"""The name of the one server where there is no file: its operator gave it none."""


def config_of(settings: ProxySettings) -> Config:
    """Return the servers that the settings name: those of the file, or one Ollama.

    Raises:
        SettingsError: with a line for each problem of the file, and of the files that it names.
    """
    if not settings.config:
        return _one_ollama(settings)
    problems: list[str] = []
    files: tuple[NamedFile, ...] = ()
    config = None
    try:
        config = read_config(_read(settings.config), _fallbacks(settings))
        files = config.files
        if "ollama_url" in settings.model_fields_set and not config.is_of_the_environment:
            problems.append("SLUICE_PROXY_OLLAMA_URL: expected nothing beside a file that has a [[server]]")
        if settings.cure and not config.is_of_the_environment:
            problems.append("SLUICE_PROXY_CURE: expected nothing beside a file that has a [[server]]: say cure there")
    except BadConfig as bad:
        problems += [f"{settings.config}: {problem}" for problem in bad.problems]
        files = tuple(bad.files)
    problems += [f"{settings.config}: {file.where}: {why}" for file in files if (why := _unreadable(file.path))]
    for server in () if config is None or problems else config.servers:
        if server.ca_file and (why := _untrusted(server)):
            problems.append(f"{settings.config}: {server.name}: ca_file: {why}")
    if config is not None and config.tools and find_spec("mcp") is None:
        problems.append(f"{settings.config}: tools: the mcp package is missing: {INSTALL_TOOLS}")
    if config is None or problems:
        raise SettingsError(problems)
    return config


def demand_config(settings: ProxySettings) -> None:
    """Demand that the file can be used, if there is one: asks nobody.

    Raises:
        SettingsError: likewise.
    """
    config_of(settings)


def _one_ollama(settings: ProxySettings) -> Config:
    origin = settings.ollama_url
    url = ServerUrl(origin.scheme, origin.host, origin.port)
    server = ServerConfig(
        ONE_OLLAMA,
        "ollama",
        url,
        permits=settings.permits,
        is_local=url.is_private,
        connect_timeout_s=settings.connect_timeout_s,
        queue_wait_s=settings.queue_timeout_s,
        cure=settings.cure,
    )
    return Config((server,), ((ONE_OLLAMA,),), is_of_the_environment=True)


def _fallbacks(settings: ProxySettings) -> Fallbacks:
    return Fallbacks(
        permits=settings.permits,
        connect_timeout_s=settings.connect_timeout_s,
        queue_wait_s=settings.queue_timeout_s,
        ollama_url=str(settings.ollama_url),
        cure=settings.cure,
    )


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            return file.read(FILE_BYTES + 1)
    except OSError as exc:
        raise BadConfig([str(exc.strerror)]) from None


def _unreadable(path: str) -> str:
    """Return why a file cannot be read, "" if it can."""
    try:
        with Path(path).open("rb") as file:
            file.read(1)
    except OSError as exc:
        return str(exc.strerror)
    return ""


def _untrusted(server: ServerConfig) -> str:
    """Return why the certificates that a server is to be known by cannot be used, "" if they can."""
    try:
        trusted(server.ca_file)
    except OSError:
        return "expected certificates in PEM form"
    return ""
