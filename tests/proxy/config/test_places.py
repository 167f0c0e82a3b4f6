import pytest

from proxy.config.places import Path, Places

TEXT = """\
# a comment
[defaults]
permits = 2

[[server]]
name = "gpu1"
models = { "a" = "b" }
[server.extra]
more = 1
[[ server ]]   # the second
"name" = "gpu2"
capabilities = [
  "tools",   # ]
  "not = a key",
]
'url' = "http://[::1]"
dotted.key = 1
[chain]
default = [["gpu1"],
  "gpu2"]
"qwen2.5:3b" = ["gpu1"]
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("defaults",), 2),
        (("defaults", "permits"), 3),
        (("server", 0), 5),
        (("server", 0, "name"), 6),
        (("server", 0, "models", "a"), 7),
        (("server", 0, "extra"), 8),
        (("server", 0, "extra", "more"), 9),
        (("server", 1), 10),
        (("server", 1, "name"), 11),
        (("server", 1, "capabilities"), 12),
        (("server", 1, "url"), 16),
        (("server", 1, "dotted"), 17),
        (("server", 1, "key_env"), 10),
        (("chain", "default"), 19),
        (("chain", "qwen2.5:3b"), 21),
        (("nowhere", "name"), None),
    ],
)
def test_a_value_s_line_is_found_or_that_of_the_table_around_it(path: Path, line: int | None) -> None:
    assert Places(TEXT).line(path) == line


def test_line_ends_of_another_system_count_alike() -> None:
    assert Places(TEXT.replace("\n", "\r\n")).line(("chain",)) == 18
