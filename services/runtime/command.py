"""The command line that all servers share: --help, --version, --check, --healthcheck."""

import argparse
import textwrap
from collections.abc import Sequence
from typing import Final

from services.runtime.probe import get
from services.runtime.settings import Address, ProcessSettings, describe
from services.runtime.version import build_of

HEALTHCHECK_TIMEOUT_S: Final = 2.0  # /livez asks nobody; an image's supervisor waits 30 s by default


def parse(
    name: str, settings_type: type[ProcessSettings], notes: str, argv: Sequence[str] | None
) -> argparse.Namespace:
    """Return what the command line asks for: ``check`` and ``healthcheck``, both of them false in order to serve.

    Args:
        name: of the service.
        settings_type: listed by ``--help``.
        notes: shown below the settings.
        argv: the arguments, program excluded; None means the process's own.
    """
    package = settings_type.__module__.rpartition(".")[0] or name
    parser = argparse.ArgumentParser(
        prog=f"python -m {package}",
        description=f"Serve {name}. Everything is set in the environment, which is read once at start.",
        epilog="\n\n".join(filter(None, [_settings_help(settings_type), notes])),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=build_of(name))
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--check", action="store_true", help="validate the settings and exit: 0 good, 2 not")
    action.add_argument("--healthcheck", action="store_true", help="ask the running one's /livez: 0 alive, 1 not")
    return parser.parse_args(argv)


def _settings_help(settings_type: type[ProcessSettings]) -> str:
    entries = []
    for row in describe(settings_type):
        about = textwrap.fill(row.description, 100, initial_indent="      ", subsequent_indent="      ")
        entries.append(f"  {row.name}={row.default}\n{about}".rstrip())
    return "\n".join(["settings, with their defaults:", *entries])


def answers_livez(address: Address) -> bool:
    """Return whether the server that listens on ``address`` answers ``GET /livez`` with 200."""
    return get(address.reachable, "/livez", HEALTHCHECK_TIMEOUT_S) is not None
