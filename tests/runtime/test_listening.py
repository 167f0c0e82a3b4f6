import socket
import sys

import pytest

from services.runtime.listening import CannotListen, Listener, bind, bound_address
from services.runtime.settings import Address

ANY_PORT = Address("127.0.0.1", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_port_0_becomes_the_port_that_clients_reach(host: str) -> None:
    with bind(Listener(Address(host, 0), 1)) as sock:
        sock.listen()
        address = bound_address(sock)

        assert address.port != 0
        socket.create_connection(("localhost" if host == "localhost" else "127.0.0.1", address.port), 5).close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
def test_an_ipv6_address_is_bound_and_given_back_in_brackets() -> None:
    with bind(Listener(Address.parse("[::1]:0"), 1)) as sock:
        address = bound_address(sock)

    assert str(address) == f"[::1]:{address.port}"


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
def test_accepted_connections_inherit_the_limits() -> None:
    with bind(Listener(ANY_PORT, 1, user_timeout_s=15)) as sock:
        sock.setblocking(True)
        sock.listen()
        client = socket.create_connection(sock.getsockname(), 5)
        accepted, _ = sock.accept()

        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 65_536  # Linux books the double
        accepted.close()
        client.close()


def test_a_taken_address_is_refused_with_its_reason_and_leaves_no_socket_behind() -> None:
    with bind(Listener(ANY_PORT, 1)) as sock:
        sock.listen()
        taken = bound_address(sock)

        with pytest.raises(CannotListen, match=f"^cannot listen on {taken}: address already in use$") as caught:
            bind(Listener(taken, 1))

        assert caught.value.address == taken


@pytest.mark.parametrize(
    ("host", "reason"), [("192.0.2.1", "cannot assign"), ("no-such-host.invalid", "(not known|resolution)")]
)
def test_an_address_of_no_interface_here_is_refused_with_its_reason(host: str, reason: str) -> None:
    with pytest.raises(CannotListen, match=reason):
        bind(Listener(Address(host, 0), 1))
