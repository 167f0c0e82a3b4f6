"""Whose tools run here, as the file says it."""

import pytest

from proxy.config.tool_servers import ToolServerConfig
from tests.proxy.config.test_reading import problems, read

TIME = '[[tools]]\nname = "time"\ncommand = ["mcp-server-time", "--utc"]\nallow = ["now"]\n'


def test_tools_alone_keep_the_environment_s_model_server() -> None:
    config = read(TIME)

    assert config.is_of_the_environment
    assert [server.url.port for server in config.servers] == [11434]
    assert config.tools == (ToolServerConfig("time", ("now",), command=("mcp-server-time", "--utc")),)


def test_every_setting_of_tools_is_read() -> None:
    text = (
        TIME + "confirm = false\ntimeout_s = 5\nstart_timeout_s = 60\napproval_s = 10\nparallel = 1\n"
        'result_bytes = 4096\nenv = { TZ = "UTC" }\nenv_from = ["LANG"]\ncwd = "/srv"\n'
        '[[tools]]\nname = "web"\nurl = "https://tools.example.org/mcp"\nallow = ["search"]\n'
        'headers_from = { Authorization = "SEARCH_TOKEN" }\n'
        '[[tools]]\nname = "ours"\npython = "house.tools:dice"\nallow = ["dice"]\n'
    )

    time, web, ours = read(text).tools

    assert (time.confirm, time.timeout_s, time.start_timeout_s, time.approval_s) == (False, 5.0, 60.0, 10.0)
    assert (time.parallel, time.result_bytes, time.env, time.env_from) == (1, 4096, {"TZ": "UTC"}, ("LANG",))
    assert (time.cwd, web.url, web.headers_from) == (
        "/srv",
        "https://tools.example.org/mcp",
        {"Authorization": "SEARCH_TOKEN"},
    )
    assert (ours.python, ours.confirm, ours.command) == ("house.tools:dice", True, ())


ALLOW = 'allow = ["a"]\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tools = 3\n", "line 1: tools: expected [[tools]] tables"),
        ('[[tools]]\nname = "t"\ncommand = ["x"]\n', "line 1: allow: expected"),
        (f'[[tools]]\nname = "t"\n{ALLOW}', "line 1: expected one of command, url and python"),
        (
            f'[[tools]]\nname = "t"\ncommand = ["x"]\nurl = "https://x/mcp"\n{ALLOW}',
            "line 1: expected one of command, url and python",
        ),
        (f'[[tools]]\nname = "t"\nurl = "http://10.0.0.1/mcp"\n{ALLOW}', "line 3: url: expected https://"),
        (f'[[tools]]\nname = "t"\nurl = "https://u:secret@x/mcp"\n{ALLOW}', "line 3: url: expected http[s]://"),
        (f'[[tools]]\nname = "t"\npython = "os.system"\n{ALLOW}', "line 3: python: expected package.module:function"),
        (f'[[tools]]\nname = "t"\ncommand = []\n{ALLOW}', "line 3: command: "),
        (f'[[tools]]\nname = "t"\ncommand = [""]\n{ALLOW}', "line 3: command"),
        (f'[[tools]]\nname = 5\ncommand = ["x"]\n{ALLOW}', "line 2: name: "),
        ('[[tools]]\nname = "t"\ncommand = ["x"]\nallow = ["a b"]\n', "line 4: allow"),
        ('[[tools]]\nname = "t"\ncommand = ["x"]\nallow = ["a", "a"]\n', "line 4: allow: a is allowed twice"),
        (
            f'{TIME}[[tools]]\nname = "time"\ncommand = ["x"]\nallow = ["now"]\n',
            "line 6: name: other tools have it",
        ),
        (f'{TIME}[[tools]]\nname = "u"\ncommand = ["x"]\nallow = ["now"]\n', "line 8: allow: now is allowed twice"),
        (f"{TIME}secret = 1\n", "line 5: secret: unknown"),
        (f"{TIME}result_bytes = 70000\n", "line 5: result_bytes: "),
        (f'{TIME}headers_from = {{ X = "Y" }}\n', "line 1: headers_from: only a url has it"),
        (f'[[tools]]\nname = "t"\nurl = "https://x/mcp"\ncwd = "/"\n{ALLOW}', "line 1: env, env_from, cwd: "),
    ],
)
def test_what_is_wrong_with_tools_is_said_with_its_line_and_no_value(text: str, said: str) -> None:
    found = problems(text)

    assert [line for line in found if line.startswith(said)], found
    assert "secret@" not in "".join(found)
