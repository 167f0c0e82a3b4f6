"""A real process, real sockets, real signals."""

import signal
import socket
from collections.abc import Callable

import pytest

from services.runtime.settings import Address
from tests.runtime.tiny_process import Tiny, get

StartTiny = Callable[..., Tiny]


def ask(address: Address, request: str) -> socket.socket:
    sock = socket.create_connection((address.host, address.port), timeout=10)
    sock.sendall(f"{request} HTTP/1.1\r\nHost: x\r\n".encode() + b"\r\n")
    return sock


def read_until(sock: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got and (part := sock.recv(65536)):
        got += part
    return got


def test_one_line_says_where_it_really_listens(tiny: StartTiny) -> None:
    service = tiny()

    address = service.listening()
    metrics = Address.parse(service.lines[-1]["metrics"])
    assert get(address, "/livez")[0] == 200
    assert "tiny_answers_total 1.0" in get(metrics, "/metrics")[1]
    service.signal()
    assert service.ended() == 0
    assert service.events.count("listening") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_ends_with_0_at_the_first_signal(tiny: StartTiny, number: signal.Signals) -> None:
    service = tiny()
    service.listening()

    service.signal(number)

    assert service.ended() == 0
    assert service.events[-3:] == ["draining", "tiny.close", "stopped"]


def test_while_a_stream_goes_on_new_connections_are_taken_and_see_the_drain(tiny: StartTiny) -> None:
    service = tiny()
    address = service.listening()
    stream = ask(address, "GET /stream")
    read_until(stream, b"first\n")

    service.signal()
    service.until("draining")

    assert get(address, "/livez")[0] == 503
    stream.close()
    assert service.ended() == 0
    assert "drain.deadline" not in service.events


def test_a_stream_that_outlasts_the_drain_is_ended_by_the_service_and_gets_its_last_bytes(tiny: StartTiny) -> None:
    service = tiny(SLUICE_WEB_DRAIN_S="0.1")
    with ask(service.listening(), "GET /stream") as stream:
        read_until(stream, b"first\n")

        service.signal()

        assert b"last\n" in read_until(stream, b"\r\n0\r\n\r\n")
    assert service.ended() == 0
    assert "drain.deadline" in service.events


def test_a_drain_of_zero_seconds_ends_streams_at_once(tiny: StartTiny) -> None:
    service = tiny(SLUICE_WEB_DRAIN_S="0")
    with ask(service.listening(), "GET /stream") as stream:
        read_until(stream, b"first\n")

        service.signal()

        assert b"last\n" in read_until(stream, b"\r\n0\r\n\r\n")
    assert service.ended() == 0


def test_the_second_signal_ends_the_process_with_1_in_the_middle_of_a_stream(tiny: StartTiny) -> None:
    service = tiny()
    with ask(service.listening(), "GET /stream") as stream:
        read_until(stream, b"first\n")
        service.signal()
        service.until("draining")

        service.signal(signal.SIGINT)

        assert service.ended() == 1
    assert service.events[-1] == "stopped.at_once"


@pytest.mark.parametrize("path", ["/held", "/stream"])
def test_a_client_that_leaves_cancels_its_handler(tiny: StartTiny, path: str) -> None:
    """By default aiohttp's runner does not: this goes through ours."""
    service = tiny()
    address = service.listening()
    client = ask(address, f"GET {path}")
    if path == "/stream":
        read_until(client, b"first\n")

    client.close()

    service.until("tiny.cancelled")
    assert get(address, "/livez")[0] == 200


def test_the_protocol_settings_are_in_force(tiny: StartTiny) -> None:
    """One keyword that aiohttp does not know drops all of them, so an idle connection would stay for an hour."""
    service = tiny(SLUICE_WEB_KEEPALIVE_TIMEOUT_S="0.2")
    with ask(service.listening(), "GET /livez") as client:
        everything = read_until(client, b"never in an answer")

    assert everything.startswith(b"HTTP/1.1 200")
    service.signal()
    assert service.ended() == 0
    assert [line for line in service.lines if line["level"] in {"warning", "error"}] == []


def test_a_refused_body_gets_its_413_and_then_the_connection_ends(tiny: StartTiny) -> None:
    service = tiny()
    address = service.listening()

    with socket.create_connection((address.host, address.port), timeout=5) as client:
        client.sendall(b"POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
        everything = read_until(client, b"never in an answer")

    assert everything.startswith(b"HTTP/1.1 413")


def test_a_taken_port_is_one_line_on_stderr_and_exit_1(tiny: StartTiny) -> None:
    address = tiny().listening()

    second = tiny(SLUICE_WEB_LISTEN=str(address))

    out, err = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert err.decode() == (
        f"cannot listen on {address}: address already in use; free it, or set SLUICE_WEB_LISTEN=host:port\n"
    )
    assert b"listening" not in out


def test_a_taken_metrics_port_frees_the_traffic_port_and_names_its_own_variable(tiny: StartTiny) -> None:
    first = tiny()
    first.listening()
    metrics = first.lines[-1]["metrics"]

    second = tiny(SLUICE_WEB_METRICS_LISTEN=metrics)

    _, err = second.process.communicate(timeout=20)
    assert second.process.returncode == 1
    assert f"cannot listen on {metrics}" in err.decode()
    assert "SLUICE_WEB_METRICS_LISTEN=" in err.decode()


@pytest.mark.parametrize("path", ["/fail", "/leak"])
def test_a_failure_is_logged_with_its_place_and_without_its_words(tiny: StartTiny, path: str) -> None:
    service = tiny()
    address = service.listening()

    get(address, f"{path}?secret=canary-4711")

    service.signal()
    assert service.ended() == 0
    failures = [line for line in service.lines if line["level"] == "error"]
    assert len(failures) == 1
    assert failures[0]["exception"].endswith("builtins.LookupError")
    assert "tiny_service.py" in failures[0]["exception"]
    assert "canary-4711" not in str(service.lines)


def test_asyncio_s_debug_mode_stays_off_as_its_lines_quote_arguments(tiny: StartTiny) -> None:
    service = tiny(PYTHONASYNCIODEBUG="1")
    address = service.listening()

    get(address, "/slow?secret=canary-4711")
    get(address, "/livez")

    service.signal()
    assert service.ended() == 0
    assert [line for line in service.lines if line["level"] == "warning"] == []
