"""A server's life: settings, sockets, ready, signals, drain, end. All of our servers live it here.

    main -> read_settings -> build(settings) -> bind -> start -> listen -> ... first signal -> drain -> close -> 0

aiohttp's own ``run_app`` is refused: it does not cancel the handler of a client that left, its second SIGTERM cuts
everything, and it stops listening before the streams that a client may want to follow or cancel are over.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
import uvloop

from services.runtime.command import answers_livez, parse
from services.runtime.listening import CannotListen
from services.runtime.log import LogWriter, configure
from services.runtime.settings import Address, ProcessSettings, S, SettingsError, read_settings, variable
from services.runtime.version import VERSION

SWITCH_INTERVAL_S: Final = 0.0005  # at Python's 5 ms a thread that computes, as a scrape's, stalls the loop for as long
COLLECT_AFTER: Final = 5_000
"""New objects until the collector looks for cycles among them: a request leaves none, and at Python's 700 each looked
through those of a few requests that were still going on. A failure's traceback may hold some until then."""

log = structlog.get_logger()


class Port(Protocol):
    """One listening port of a service."""

    @property
    def name(self) -> str:
        """What the `listening` line calls its address."""

    def bind(self) -> None:
        """Take the address.

        Raises:
            CannotListen: it is taken.
        """

    async def open(self) -> Address:
        """Take connections; return where.

        Raises:
            CannotListen: another process took the address since it was bound.
        """

    async def close(self) -> None:
        """Take no more connections, and end those that there are; harmless for one that was never bound."""


class Service(Protocol):
    """What a server gives to its lifecycle; :func:`main` calls the methods in this order, inside the event loop."""

    @property
    def ports(self) -> Sequence[Port]:
        """Its ports, the traffic port last: it is the last to open and the first to close."""

    @property
    def drain_s(self) -> float:
        """How long streams may go on after the first signal; 0 ends them at once."""

    def watch_log(self, writer: LogWriter) -> None:
        """Show the counts of the log, which is the lifecycle's own, wherever the service shows its own."""

    async def start(self) -> None:
        """Open pools, start pollers; connections are taken when this has returned."""

    def begin_drain(self) -> None:
        """First signal: from now on /readyz is 503 and new streams are refused."""

    async def drained(self) -> None:
        """Return when the last stream is gone."""

    async def end_streams(self) -> None:
        """End the streams that are left; bounded by itself."""

    async def close(self) -> None:
        """Release pools and pollers; no connection is left. Called in any case, even if ``start`` was not."""

    def end_at_once(self) -> None:
        """Second signal: kill what must not outlive the process; wait for nothing."""


def main(
    name: str,
    settings_type: type[S],
    build: Callable[[S], Service],
    *,
    demand: Callable[[S], object] = lambda _: None,
    notes: str = "",
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> int:
    """Run the service ``name`` until it is told to stop; return the exit code.

    Args:
        name: what log lines call it.
        settings_type: read from ``environ``.
        build: makes the service, inside the running event loop.
        demand: looks at what the settings name, files say, and raises SettingsError where it cannot be used.
        notes: shown by ``--help`` below the settings.
        argv: arguments, program excluded; None means the process's own.
        environ: None means the process's own.
    """
    asked = parse(name, settings_type, notes, argv)
    try:
        settings = read_settings(settings_type, os.environ if environ is None else environ)
        if not asked.healthcheck:
            demand(settings)
    except SettingsError as exc:
        return _complain(exc.problems, 2)
    if asked.check:
        return 0
    if asked.healthcheck:
        return 0 if answers_livez(settings.listen) else 1
    return _run(name, settings, build)


def _complain(problems: list[str], code: int) -> int:
    print(*problems, sep="\n", file=sys.stderr)  # noqa: T201 the command's user reads it, before there is a log
    return code


def _way_past(settings: ProcessSettings, taken: Address) -> str:
    names = [variable(type(settings), name) for name in type(settings).model_fields if getattr(settings, name) == taken]
    return f"free it, or set {' or '.join(names)}=host:port"


def _run(name: str, settings: S, build: Callable[[S], Service]) -> int:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    writer = configure(
        settings.log_level, settings.log_format, service=name, version=VERSION, instance=settings.instance_name
    )
    try:
        # never in debug mode, whatever PYTHONASYNCIODEBUG says: its lines quote arguments, and those are prompts
        with asyncio.Runner(debug=False, loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, build, writer))
    except SettingsError as exc:  # what is named in them cannot be used, as its start found out
        return _complain(exc.problems, 2)
    except CannotListen as exc:
        return _complain([f"{exc}; {_way_past(settings, exc.address)}"], 1)
    finally:
        writer.close()
    return 0


async def _serve(settings: S, build: Callable[[S], Service], writer: LogWriter) -> None:
    asyncio.get_running_loop().set_exception_handler(_log_loop_failure)
    service = build(settings)
    service.watch_log(writer)
    stop = _Stop(service, writer)
    async with contextlib.AsyncExitStack() as ending:  # runs backwards: traffic port, metrics port, service
        ending.push_async_callback(service.close)
        for port in service.ports:  # before start: an address that is taken costs nothing
            ending.push_async_callback(port.close)
            port.bind()
        await service.start()
        gc.collect()
        gc.freeze()  # what lives as long as the process is not looked at again
        gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
        addresses = {port.name: str(await port.open()) for port in service.ports}
        log.info("listening", **addresses)
        await stop.asked.wait()
        await _drain(service)
    log.info("stopped")


async def _drain(service: Service) -> None:
    """Let streams end by themselves for ``drain_s``, then end them; the listener is open all the while."""
    try:
        async with asyncio.timeout(service.drain_s):
            await service.drained()
    except TimeoutError:
        log.warning("drain.deadline", drain_s=service.drain_s)
    await service.end_streams()


def _log_loop_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what no task took; asyncio's own handler would quote the exception."""
    log.error("loop.failed", what=context["message"], exc_info=context.get("exception"))


class _Stop:
    """The signals: the first begins the drain, the second ends the process."""

    def __init__(self, service: Service, writer: LogWriter) -> None:
        self.asked = asyncio.Event()
        self._service = service
        self._writer = writer
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            log.warning("stopped.at_once", signal=number.name)
            self._service.end_at_once()
            self._writer.close()
            os._exit(1)  # not sys.exit: whatever holds up the drain would hold up the clean-up
        self.asked.set()
        self._service.begin_drain()
        log.info("draining", signal=number.name, drain_s=self._service.drain_s)
