"""One model server, and all that the proxy keeps of it; and the route of servers that a model's name leads to."""

from dataclasses import dataclass

from proxy.providers.adapter import AdapterFor
from proxy.streams.permits import Admission
from proxy.streams.stream import Stream
from proxy.upstream.call import UpstreamCall
from proxy.upstream.models import InstalledModels
from proxy.upstream.progress import Progress
from proxy.upstream.transport import Transport
from proxy.upstream.wedge_watch import WedgeWatch


@dataclass(frozen=True, slots=True, eq=False)
class ModelServer:
    """A model server of the route.

    Args:
        name: what its operator calls it.
        provider: the name of its language, which `served_by` tells.
        transport: its client: where it is, what every request to it carries, its connections.
        permits: the permits of its models, and their waiting lines.
        adapter: makes the adapter of one call.
        models: what it lists.
        progress: tells load from prefill; None where the server does not say what is in memory.
        wedges: notices a model that answers nobody; likewise.
    """

    name: str
    provider: str
    transport: Transport
    permits: Admission
    adapter: AdapterFor
    models: InstalledModels
    progress: Progress | None = None
    wedges: WedgeWatch | None = None

    @property
    def wedged(self) -> list[str]:
        """The models that answer nobody though they should."""
        return [] if self.wedges is None else self.wedges.names

    async def ready(self, model: str) -> None:
        """Return when ``model`` may be asked for: not while it is being unloaded."""
        if self.wedges is not None:
            await self.wedges.unloaded(model)

    def call_began(self, stream: Stream, call: UpstreamCall) -> None:
        """A call for ``stream`` was written: from now on its progress is shown, and its wait watched."""
        if self.wedges is not None:
            self.wedges.began(stream.model, call)
        if self.progress is not None:
            self.progress.watch(stream)

    def call_ended(self, stream: Stream, call: UpstreamCall) -> None:
        """It has its outcome, or is given up."""
        if self.progress is not None:
            self.progress.forget(stream)
        if self.wedges is not None:
            self.wedges.ended(call)


Route = tuple[ModelServer, ...]
"""The servers that a model's name leads to, the first to be asked first: one, today."""
