"""The command line of a server, run as a process."""

import http.client
from collections.abc import Callable

import pytest

from services.runtime.command import answers_livez
from services.runtime.settings import Address
from services.runtime.version import build_of
from tests.runtime.tiny_process import Tiny

StartTiny = Callable[..., Tiny]


def test_help_lists_every_setting_with_its_default_and_the_notes(tiny: StartTiny) -> None:
    out, _ = tiny("--help").process.communicate(timeout=20)

    assert "  SLUICE_WEB_DRAIN_S=5\n" in out.decode()
    assert "  SLUICE_LOG_LEVEL=info\n" in out.decode()
    assert out.decode().endswith("It forgets everything.\n")


def test_version_says_which_build_this_is(tiny: StartTiny) -> None:
    out, err = tiny("--version", SLUICE_WEB_DRAIN_S="soon").process.communicate(timeout=20)

    assert (out.decode(), err) == (f"{build_of('tiny')}\n", b"")


def test_check_of_good_settings_is_silent_and_0(tiny: StartTiny) -> None:
    process = tiny("--check").process

    assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", [["--check"], []])
def test_bad_settings_are_all_named_on_a_line_each_and_exit_is_2(tiny: StartTiny, arguments: list[str]) -> None:
    process = tiny(*arguments, SLUICE_WEB_DRAIN_S="soon", SLUICE_WEB_LISTEN="here", SLUICE_LOG_LEVEL="loud").process

    out, err = process.communicate(timeout=20)

    assert process.returncode == 2
    assert out == b""
    assert sorted(line.partition(":")[0] for line in err.decode().split("\n") if line) == [
        "SLUICE_LOG_LEVEL",
        "SLUICE_WEB_DRAIN_S",
        "SLUICE_WEB_LISTEN",
    ]


def test_healthcheck_is_0_while_the_service_answers_and_1_when_it_is_gone(tiny: StartTiny) -> None:
    service = tiny()
    address = service.listening()

    while_running = tiny("--healthcheck", SLUICE_WEB_LISTEN=str(address)).process.wait(20)
    service.signal()
    service.ended()
    afterwards = tiny("--healthcheck", SLUICE_WEB_LISTEN=str(address)).process.wait(20)

    assert (while_running, afterwards) == (0, 1)


def test_healthcheck_fails_while_livez_is_not_200(tiny: StartTiny) -> None:
    """The tiny service answers 503 while it drains; its stream keeps it there."""
    service = tiny()
    address = service.listening()
    stream = http.client.HTTPConnection(address.host, address.port, timeout=10)
    stream.request("GET", "/stream")
    stream.getresponse()
    service.signal()
    service.until("draining")

    assert not answers_livez(address)
    stream.close()


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "localhost"])
def test_healthcheck_of_one_that_listens_everywhere_asks_on_loopback(tiny: StartTiny, everywhere: str) -> None:
    address = tiny(SLUICE_WEB_LISTEN="0.0.0.0:0").listening()

    assert answers_livez(Address(everywhere, address.port))
