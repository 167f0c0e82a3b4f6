"""``python -m services.simulator``: run it, print its settings, names and faults, or check its settings."""

import argparse
import asyncio
import http.client
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

import structlog
import uvloop

from services.runtime import log as runtime_log
from services.runtime.settings import Address, SettingsError, read_settings
from services.runtime.version import VERSION, build_of
from services.simulator.manual import manual
from services.simulator.settings import Settings
from services.simulator.simulator import Simulator

log = structlog.get_logger()

HEALTH_TIMEOUT_S: Final = 2.0  # it answers from memory


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m services.simulator",
        description="Ollama's HTTP without a model: at a chosen pace, with chosen faults.",
        epilog=manual(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=build_of("simulator"))
    parser.add_argument(
        "--check", action="store_true", help="validate the settings and exit: 0 if they are good, else 2"
    )
    parser.add_argument("--healthcheck", action="store_true", help="ask the running one: 0 if it answers, else 1")
    arguments = parser.parse_args(argv)
    try:
        settings = read_settings(Settings, environ)
    except SettingsError as exc:
        sys.stderr.write("".join(f"simulator: {problem}\n" for problem in exc.problems))
        return 2
    if arguments.healthcheck:
        return _is_up(settings.listen)
    return 0 if arguments.check else _run(settings)


def _is_up(address: Address) -> int:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/")
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1
    finally:
        connection.close()


def _run(settings: Settings) -> int:
    writer = runtime_log.configure(
        settings.log_level,
        settings.log_format,
        service="simulator",
        version=VERSION,
        instance=settings.instance_name,
    )
    try:
        # as in the servers: debug mode would write of slow callbacks before the `listening` line, and quote prompts
        with asyncio.Runner(debug=False, loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings))
    finally:
        writer.close()


async def _serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then go at once as Ollama does: connections are cut, the exit code is 0."""
    simulator = Simulator(settings)
    try:
        await simulator.start()
    except OSError as exc:
        reason = exc.strerror or "cannot listen"
        sys.stderr.write(f"simulator: {settings.listen}: {reason}; set SLUICE_SIMULATOR_LISTEN to another host:port\n")
        return 1
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    log.info("listening", address=str(simulator.address), models="simulated", recordings=len(simulator.recordings))
    await told.wait()
    await simulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
