"""Which version of the hop's grammar a gateway speaks: docs/upgrading.md says which may meet. Pure."""

from typing import Final

HOP: Final = "Sluice-Hop"
HOP_VERSION: Final = "1"
"""Raised when a gateway and a proxy of the version before it would misunderstand each other; new fields do not."""
SAID_MAX: Final = 16
"""Versions that are told once: more are no gateways of ours."""


class OtherVersions:
    """The versions that were said and are not ours, each to be told once in a process's life."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def news(self, said: str) -> str | None:
        """Return what there is to tell of a gateway that says ``said`` ("" for nothing), or None.

        A version is a number of at most four digits; what is none is told as "unreadable", nothing as "none".
        """
        if said == HOP_VERSION or len(self._told) == SAID_MAX:
            return None
        version = said if said.isascii() and said.isdigit() and len(said) <= 4 else "unreadable" if said else "none"
        if version in self._told:
            return None
        self._told.add(version)
        return version
