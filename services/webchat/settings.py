"""What an operator can turn at the page server."""

import re
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, Field

from services.runtime.settings import Address, ProcessSettings

SAME_ORIGIN: Final = "same-origin"
# It goes into a header of policies: what could end a directive there is no part of a host.
_ORIGIN: Final = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


def _origin_for_browsers(text: str) -> str:
    origin = text.rstrip("/")
    if origin != SAME_ORIGIN and not _ORIGIN.fullmatch(origin):
        raise ValueError(f"expected http(s)://host[:port] as browsers reach it, or {SAME_ORIGIN}")
    return origin


class PageSettings(ProcessSettings):
    """The page server's settings."""

    PREFIX: ClassVar[str] = "SLUICE_WEB_"

    listen: Address = Field(Address("127.0.0.1", 3000), description="host:port of the page")
    gateway_url: Annotated[str, AfterValidator(_origin_for_browsers)] = Field(
        "http://localhost:3001",
        description="the gateway as browsers reach it; same-origin = /api of the page's own origin, behind an edge",
    )
    store: bool = Field(
        default=False, description="the gateway keeps conversations (SLUICE_GATEWAY_DATABASE): the page lists those"
    )
    body_bytes: int = Field(
        8 << 20, ge=1024, le=32 << 20, description="the gateway's body limit: how small the page makes pictures"
    )
