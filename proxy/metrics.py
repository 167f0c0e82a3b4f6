"""What the proxy counts, by methods named for facts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

from proxy.streams.follower import Follower
from proxy.streams.stream import Stream
from proxy.streams.timeline import STAGES
from proxy.tools.call_end import CallEnd
from proxy.upstream.fallback import CODES
from services.telemetry.families import Family
from services.telemetry.histogram import STAGE_BUCKETS_S, TOKENS_BUCKETS
from services.telemetry.metrics import OTHER_MODEL
from services.telemetry.stream_metrics import MODEL, SERVER, StreamMetrics
from services.telemetry.stream_record import StreamRecord
from services.wire.events import Code, ConnectionEnd, Failed, Finished, FinishReason, reason_of
from services.wire.model_names import canonical

COLD_LOAD_S: Final = 0.1
"""A load duration past it was a load, not the health check of a loaded model."""
_REASONS: Final = (
    *FinishReason,
    Code.INVALID_REQUEST,
    Code.MODEL_NOT_FOUND,
    Code.QUEUE_TIMEOUT,
    Code.SHUTTING_DOWN,
    Code.UPSTREAM_UNAVAILABLE,
    Code.UPSTREAM_TIMEOUT,
    Code.UPSTREAM_UNAUTHORIZED,
    Code.UPSTREAM_DISCONNECTED,
    Code.UPSTREAM_TRUNCATED,
    Code.UPSTREAM_MALFORMED,
    Code.UPSTREAM_ERROR,
    Code.INTERNAL,
)
_REJECTIONS: Final = (Code.OVERLOADED, Code.SHUTTING_DOWN, Code.CONCURRENCY_LIMITED)
ONE_OLLAMA: Final = (("ollama", "ollama"),)
"""The one server and its language where no configuration names others."""
OTHER_TOOL: Final = "_OTHER"
"""Of calls under a name that no tool has."""
_RETRIES: Final = ("refused", "connect_timeout", "reset", "eof", "429", "500", "502", "503", "wedged")


class ProxyMetrics(StreamMetrics):
    """The shared families, and those that only the server beside the model can know.

    Args:
        servers: the name and the language of each model server, the first to be asked first.
        steps: from which server to which a stream goes on that nobody stops before.
    """

    def __init__(self, servers: Sequence[tuple[str, str]] = ONE_OLLAMA, steps: Iterable[tuple[str, str]] = ()) -> None:
        first, provider = servers[0]
        super().__init__(
            canonical=canonical,
            provider=provider,
            upstream=first,
            stages=STAGES,
            reasons=_REASONS,
            rejections=_REJECTIONS,
            retries=_RETRIES,
        )
        self._servers = tuple(name for name, _ in servers)
        self._permits_held: dict[str, Callable[[], Mapping[str, int]]] = {}
        self.queue_length = self.gauge("llm_admission_queue_length", "waiting now, in each line", [SERVER])
        self.slots = self.gauge("llm_admission_slots", "permits of each model", [SERVER])
        self.permits_in_use = self.gauge("llm_permits_in_use", "of llm_admission_slots, now", [SERVER, MODEL])
        self.log_bytes = self.gauge("llm_stream_log_bytes", "held by all logs")
        self.followers = self.gauge("llm_followers", "readers of all streams, now")
        self.followers_cut = self.counter("llm_followers_cut", "readers cut off without a terminal event", ["reason"])
        self.followers_cut.labels("slow_client")
        self.late = self.counter("llm_tokens_after_disconnect", "reads and content that came when a stream was over")
        self.usage_source = self.counter("llm_usage_source", "whether the final line came", ["source"])
        for source in ("usage", "none"):
            self.usage_source.labels(source)
        self.request_tokens = self.histogram(
            "llm_request_tokens", "of one stream, where counted", TOKENS_BUCKETS, (MODEL, "type")
        )
        self.model_loaded = self.gauge("ollama_model_loaded", "1 while the model is in memory", [SERVER, MODEL])
        self.model_vram = self.gauge("ollama_model_vram_bytes", "graphics memory that the model holds", [SERVER, MODEL])
        self.model_wedged = self.gauge("llm_model_wedged", "1 while a loaded model gives content to nobody", [MODEL])
        self.loads = self.counter("ollama_model_loads", "streams that waited for a load", [SERVER, MODEL])
        self._circuits: set[tuple[str, str]] = set()
        self._declare_servers(servers, steps)
        self._made_with_models(self._make_model)

    def _declare_servers(self, servers: Sequence[tuple[str, str]], steps: Iterable[tuple[str, str]]) -> None:
        self.fallbacks = self.counter(
            "llm_fallbacks", "steps from one model server to the next, and why", ["from", "to", "code"]
        )
        self.circuit = self.gauge(
            "llm_upstream_circuit_state", "0 closed, 1 half-open, 2 open: not asked", ["upstream", MODEL]
        )
        self.key_ok = self.gauge(
            "llm_provider_key_ok", "0 while the key of a model server is known to be bad", [SERVER]
        )
        self.tool_calls = self.counter(
            "llm_tool_calls", "calls of tools that run here, and how they ended", ["tool", "outcome"]
        )
        self.tool_seconds = self.histogram(
            "llm_tool_call_duration_seconds", "of calls of tools that run here", STAGE_BUCKETS_S, ["tool"]
        )
        self.tool_servers = self.gauge("llm_tool_server_up", "1 while its tools can be called", [SERVER])
        for name, provider in servers:
            self.circuit.labels(name, OTHER_MODEL).set(0)
            self.up.labels(name)
            for why in _RETRIES:
                self.retries.labels(name, why)
            for kind in ("skipped_line", "malformed", "truncated"):
                self.violations.labels(provider, kind)
        for one, other in steps:
            for code in CODES:
                self.fallbacks.labels(one, other, code)

    def models_listed(self, names: Sequence[str]) -> None:
        """The model server lists these."""
        super().models_listed(names)
        for label in {self.models.label(name) for name in names}:
            for server in self._servers:
                self.loads.labels(server, label)
            self.model_wedged.labels(label)

    def show_permits(self, server: str, permits: int, held: Callable[[], Mapping[str, int]]) -> None:
        """Let the scrape see how many permits of a server are taken, by the names of models."""
        self.slots.labels(server).set(permits)
        self._permits_held[server] = held

    def show_line(self, server: str, waiting: Callable[[], int]) -> None:
        """Let the scrape see how many wait in the lines of a server, or of a pool, by its members' names."""
        self.queue_length.labels(server).set_function(waiting)

    def models_loaded(self, server: str, vram_bytes: Mapping[str, int]) -> None:
        """A server has these models in memory, with so many bytes of it the graphics card's, and no others."""
        loaded = {self.models.label(name): size for name, size in vram_bytes.items()}
        for label in self.models.labels:
            self.model_loaded.labels(server, label).set(label in loaded)
            self.model_vram.labels(server, label).set(loaded.get(label, 0))

    def models_wedged(self, names: Sequence[str]) -> None:
        """These models are wedged, and no others."""
        wedged = {self.models.label(name) for name in names}
        for label in (*self.models.labels, OTHER_MODEL):
            self.model_wedged.labels(label).set(label in wedged)

    def refused_at_the_door(self, code: Code) -> None:
        """Somebody was not let in: draining, a full line, too many readers."""
        self.rejected.labels(code).inc()

    def follower_left(self, follower: Follower) -> None:
        """A reader is gone; slow is one that took nothing for too long, or whose next event has left the log."""
        self.blocked.inc(follower.blocked_s)
        if follower.cut_as is ConnectionEnd.SLOW_CLIENT:
            self.followers_cut.labels("slow_client").inc()

    # --- servers.ServersMetrics

    def upstream_answers(self, up: bool) -> None:
        """Each server is told of by its own name."""

    def server_answers(self, name: str, *, up: bool) -> None:
        """A model server was asked whether it is there."""
        self.up.labels(name).set(up)

    def key_checked(self, server: str, *, ok: bool) -> None:
        """A key was checked, or there is none where one is expected."""
        self.key_ok.labels(server).set(ok)

    def went_on(self, from_server: str, to_server: str, code: str) -> None:
        """A stream asks another server than the one whose turn it was."""
        self.fallbacks.labels(from_server, to_server, code).inc()

    def show_circuit(self, server: str, model: str, state: Callable[[], int]) -> None:
        """Let the scrape see the breaker in front of a model, by the name that was asked for."""
        key = server, self.models.label(model)
        if key not in self._circuits and key[1] != OTHER_MODEL:
            self._circuits.add(key)
            self.circuit.labels(*key).set_function(state)

    # --- call_end.ToolMetrics

    def declare_tools(self, tools: Mapping[str, Sequence[str]]) -> None:
        """Show the series of these tools, by their servers, before they are called."""
        for server, names in tools.items():
            self.tool_servers.labels(server)
            for name in names:
                self.tool_seconds.child(name)
                for end in CallEnd:
                    self.tool_calls.labels(name, end)
            self.tool_calls.labels(OTHER_TOOL, CallEnd.NOT_RUN)

    def tool_called(self, tool: str, end: CallEnd, seconds: float) -> None:
        """A call came to an end."""
        self.tool_calls.labels(tool, end).inc()
        self.tool_seconds.child(tool).observe(seconds)

    def tool_not_run(self, tool: str | None, end: CallEnd) -> None:
        """A call did not run; None for a tool that was not offered, since its name is the model's own word."""
        self.tool_calls.labels(tool or OTHER_TOOL, end).inc()

    def tool_server_is_there(self, server: str, *, there: bool) -> None:
        """A server has said which tools it has, or is gone."""
        self.tool_servers.labels(server).set(there)

    # --- producer.ProducerMetrics

    def permit_waited(self, result: str, seconds: float) -> None:
        """The wait in line ended: admitted, timeout or client_gone."""
        self.admission_wait.child(result).observe(seconds)

    def call_repeated(self, server: str, why: str) -> None:
        """Another attempt is made, since one at a server has failed."""
        self.retries.labels(server, why).inc()

    def gaps_of(self, stream: Stream) -> Callable[[float], None]:
        """Return who is told the seconds between two chunks with content."""
        return self.gap_observer(stream.label, stream.request.kind, stream.provider)

    def upstream_closed(self, seconds: float) -> None:
        """So long after a stop the upstream connection was closed."""
        self.cancel.child().observe(seconds)

    def stream_ended(self, stream: Stream) -> StreamRecord:
        """A stream has given everything back: count it, and return what there was to count."""
        record = record_of(stream)
        label = self.stream_finished(record, stream.label)
        self.usage_source.labels("none" if record.output_tokens is None else "usage").inc()
        self.late.inc(stream.log.late)
        for kind, tokens in (("input", record.input_tokens), ("output", record.output_tokens)):
            if tokens is not None:
                self.request_tokens.child(label, kind).observe(tokens)
        if (word := stream.last_word) is not None and (word.load_s or 0) > COLD_LOAD_S:
            self.loads.labels(stream.server or self._servers[0], label).inc()
        if stream.log.skipped_lines:
            self.violations.labels(stream.provider, "skipped_line").inc(stream.log.skipped_lines)
        for code, kind in ((Code.UPSTREAM_MALFORMED, "malformed"), (Code.UPSTREAM_TRUNCATED, "truncated")):
            if record.reason == code:
                self.violations.labels(stream.provider, kind).inc()
        return record

    def _permits_in_use(self, server: str, label: str) -> int:
        held_by_model = self._permits_held.get(server, dict)()
        # of the many that are "_OTHER" the fullest line: their sum would pass what each of them has
        return max((held for name, held in held_by_model.items() if self.models.label(name) == label), default=0)

    def _make_model(self, model: str) -> None:
        for server in self._servers:
            self.loads.labels(server, model)
            in_use = partial(self._permits_in_use, server, model)
            self.permits_in_use.labels(server, model).set_function(in_use)
        for kind in ("input", "output"):
            self.request_tokens.child(model, kind)


def families() -> list[Family]:
    """Return the metrics that the proxy declares."""
    return ProxyMetrics().families


def record_of(stream: Stream) -> StreamRecord:
    """Return what is counted and logged of a finished stream."""
    timeline, end = stream.timeline, stream.log.end
    assert end is not None
    usage = end.usage if isinstance(end, Finished) else None
    return StreamRecord(
        kind=stream.request.kind,
        model=stream.model,
        reason=reason_of(end),
        failed=isinstance(end, Failed),
        tokens_per_s=timeline.rate(stream.last_word),
        stages=timeline.stages(stream.last_word),
        chunks=stream.log.chunks,
        input_tokens=None if usage is None else usage.input_tokens,
        output_tokens=None if usage is None else usage.output_tokens,
        provider=stream.provider,
        **timeline.spans(),
    )
