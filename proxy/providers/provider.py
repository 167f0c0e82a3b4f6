"""What a kind of model server is, apart from its calls: where it is, and how its key is proved. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from proxy.providers.adapter import AdapterFor, UpstreamRequest
from proxy.providers.key_check import KeyCheck
from services.wire.request import ModelRequest


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of model server.

    Args:
        name: the word of the closed list: in the file, in `served_by`, in metrics.
        public_url: where it is unless the file says otherwise; None: the file has to say it.
        needs_key: whether nobody answers there without one.
        adapter: makes the adapter of one call.
        takes: whether a request can be asked there at all.
        check: the cheapest request that proves a key; it lists the models.
        checked: what its answer means, by status and body.
    """

    name: str
    public_url: str | None
    needs_key: bool
    adapter: AdapterFor
    takes: Callable[[ModelRequest], bool]
    check: Callable[[str | None], UpstreamRequest]
    checked: Callable[[int, bytes], KeyCheck]
