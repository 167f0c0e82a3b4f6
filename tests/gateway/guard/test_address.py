import ipaddress

import pytest

from gateway.guard.address import client_address, is_this_machine, line_of

EDGES = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.7, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.7", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9, "], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("fd00::1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", ["203.0.113.9"], "2001:db8:1:2::/64"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_client_is_the_right_most_that_no_trusted_edge_is(peer: str, forwarded: list[str], client: str) -> None:
    """T21: whoever writes the header himself gains nothing by it."""
    assert client_address(peer, forwarded, EDGES) == client


def test_without_a_trusted_edge_nobody_s_word_is_believed() -> None:
    assert client_address("10.0.0.1", ["203.0.113.9"], []) == "10.0.0.1"


@pytest.mark.parametrize(
    ("address", "is_here"),
    [("127.0.0.1", True), ("::1", True), ("192.0.2.1", False), ("2001:db8:1:2::/64", False), ("", False)],
)
def test_only_loopback_is_this_machine(address: str, is_here: bool) -> None:
    assert is_this_machine(address) is is_here


def test_an_address_s_turn_in_a_line_is_the_same_everywhere_and_does_not_name_it() -> None:
    assert line_of("192.0.2.1") == line_of("192.0.2.1") != line_of("192.0.2.2")
    assert "192.0.2.1" not in line_of("192.0.2.1")
