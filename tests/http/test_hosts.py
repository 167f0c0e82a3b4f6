import pytest

from services.http.hosts import Hosts

OURS = (
    *("localhost", "LOCALHOST", "localhost.", "app.localhost", "a.b.localhost", "app.localhost.", "x_y.localhost"),
    *("127.0.0.1", "127.1.2.3", "127.255.255.254", "0.0.0.0"),
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::0]", "[0:0::1]"),
    *("[::ffff:127.0.0.1]", "[::FFFF:7f00:1]", "[::ffff:0.0.0.0]"),
    *("host.docker.internal", "Host.Docker.Internal.", "box-7", "BOX-7", "box-7."),
)
OTHERS = (
    *("", "evil.example", "localhost.evil", "localhost.evil.example", "127.0.0.1.evil.com", "127.0.0.1.nip.io"),
    *("localhost.localdomain", "xlocalhost", "my-localhost", ".localhost", "a..localhost", "localhost..", "localhos"),
    *("2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "127.1", "127.0.1", "0", "127.0.0.1.", "127.0.0.01"),
    *("10.0.0.1", "192.168.0.1", "169.254.169.254", "128.0.0.1", "126.255.255.255", "0.0.0.1", "255.255.255.255"),
    *(
        "[::2]",
        "[fe80::1]",
        "[::ffff:10.0.0.1]",
        "[::127.0.0.1]",
        "[::1",
        "::1]",
        "::1",
        "[127.0.0.1]",
        "[]",
        "[::1%lo]",
    ),
    *("localhost:port", "localhost:", "localhost:123456", "localhost:80:80", "localhost:-1", "[::1]80", "localhost:٣"),
    *("localhost@evil.example", "evil.example/localhost", "localhost, evil.example", "localhost evil", "a/health#"),
    *("http://localhost", "localhost/", "localhost?x", "local host", "\uff4cocalhost", "127\u30020.0.1"),
    *("docker.internal", "xhost.docker.internal", "host.docker.internal.evil", "box-7.evil", "box-70", "box-7.local"),
)


@pytest.mark.parametrize("port", ["", ":8080", ":1", ":65535"])
@pytest.mark.parametrize("host", OURS)
def test_this_machine_s_names_and_addresses_are_answered_at_any_port(host: str, port: str) -> None:
    assert Hosts((), own_name="Box-7").answer(host + port)


@pytest.mark.parametrize("host", OTHERS)
def test_what_a_stranger_can_have_resolved_to_this_machine_is_not(host: str) -> None:
    """T3: DNS rebinding."""
    assert not Hosts((), own_name="box-7").answer(host)


@pytest.mark.parametrize(
    ("host", "allowed", "answered"),
    [
        ("chat.example", "chat.example", True),
        ("Chat.Example:8443", "chat.example", True),
        ("chat.example.:8443", "Chat.Example", True),
        ("chat.example:8443", "chat.example:8443", True),
        ("chat.example:80", "chat.example:8443", False),
        ("chat.example", "chat.example:8443", False),
        ("xchat.example", "chat.example", False),
        ("chat.example.evil", "chat.example", False),
        ("10.0.0.7:8080", "10.0.0.7", True),
        ("[fd00::7]:8080", "[fd00::7]", True),
        ("anything", "*", True),
        ("", "*", True),
    ],
)
def test_an_operator_s_name_is_answered_at_its_port_or_at_any(host: str, allowed: str, answered: bool) -> None:
    assert Hosts([allowed], own_name="box-7").answer(host) is answered


def test_a_machine_without_a_name_answers_no_empty_host() -> None:
    assert not Hosts((), own_name="").answer("")
