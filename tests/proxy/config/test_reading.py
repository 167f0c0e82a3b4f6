from dataclasses import replace

import pytest

from proxy.config.config import Config, NamedFile, ServerConfig
from proxy.config.reading import FILE_BYTES, BadConfig, Fallbacks, read_config
from proxy.config.server_url import ServerUrl

FALLBACKS = Fallbacks(permits=3, connect_timeout_s=0.5, queue_wait_s=90.0, ollama_url="http://127.0.0.1:11434")
GPU1 = '[[server]]\nname = "gpu1"\nkind = "ollama"\nurl = "http://gpu1:11434"\n'
GROQ = '[[server]]\nname = "groq"\nkind = "groq"\nkey_env = "GROQ_API_KEY"\nmodels = { "*" = "llama-3.3-70b" }\n'
OPENAI = '[[server]]\nname = "o"\nkind = "openai"\n'


def read(text: str) -> Config:
    return read_config(text.encode(), FALLBACKS)


def problems(text: str) -> list[str]:
    with pytest.raises(BadConfig) as bad:
        read(text)
    return bad.value.problems


def test_two_servers_and_their_order_are_read() -> None:
    config = read(GPU1 + GROQ + '[chain]\ndefault = [["gpu1"], "groq"]\n"Qwen2.5:3b" = ["gpu1"]\n')

    gpu1, groq = config.servers
    assert gpu1 == ServerConfig(
        "gpu1", "ollama", ServerUrl("http", "gpu1", 11434), permits=3, connect_timeout_s=0.5, queue_wait_s=90.0
    )
    assert (groq.url, groq.permits, groq.is_local) == (ServerUrl("https", "api.groq.com", 443, "/openai/v1"), 32, False)
    assert (groq.connect_timeout_s, groq.requests_per_minute, groq.has_key) == (5.0, 60, True)
    assert (gpu1.calls("m"), groq.calls("m"), groq.names("m")) == ("m", "llama-3.3-70b", False)
    assert config.order("any") == (("gpu1",), ("groq",))
    assert config.order("qwen2.5:3B") == (("gpu1",),)
    assert list(config.chained()) == ["gpu1", "groq"]
    assert config.named_models == ("Qwen2.5:3b",)


def test_a_file_without_a_server_has_the_environment_s() -> None:
    config = read("[defaults]\nlocal_only = true\n[breaker]\nopen_s = 1\n")

    assert [server.url.port for server in config.servers] == [11434]
    assert (config.default, config.local_only, config.breaker_open_s) == ((("ollama",),), True, 1.0)
    assert config.is_of_the_environment
    assert not config.servers[0].cure


@pytest.mark.parametrize("text", ["", '[[tools]]\nname = "t"\ncommand = ["x"]\nallow = ["a"]\n'])
def test_the_environment_s_server_has_the_environment_s_cure(text: str) -> None:
    (server,) = read_config(text.encode(), replace(FALLBACKS, cure="unload")).servers

    assert server.cure == "unload"


def test_defaults_are_every_server_s_that_says_nothing_itself() -> None:
    config = read("[defaults]\npermits = 8\nqueue_wait_s = 5\n" + GPU1 + "permits = 2\n" + GROQ)

    assert [(server.permits, server.queue_wait_s) for server in config.servers] == [(2, 5.0), (8, 5.0)]


def test_without_a_chain_only_local_servers_are_asked() -> None:
    """Nothing leaves the operator's machines unless the chain names it."""
    assert read(GROQ + GPU1).default == (("gpu1",),)


def test_a_server_s_own_names_count_by_any_spelling() -> None:
    server = read(OPENAI + 'models = { "Tiny" = "gpt-5-mini" }\n[chain]\ndefault = ["o"]\n').servers[0]

    assert (server.calls("tiny:latest"), server.calls("other"), server.names("TINY")) == ("gpt-5-mini", None, True)


@pytest.mark.parametrize("proxy", ["", "http://proxy.lan:3128"])
def test_a_server_may_have_a_proxy_of_its_own_or_none(proxy: str) -> None:
    assert read(GPU1 + f'proxy = "{proxy}"').servers[0].proxy == proxy


def test_the_files_that_servers_need_are_told_with_their_lines() -> None:
    config = read(OPENAI + 'key_file = "/run/secrets/o"\nca_file = "/ca.pem"\nmodels = { "*" = "m" }\n' + GPU1)

    assert config.files == (NamedFile("/run/secrets/o", "line 4: key_file"), NamedFile("/ca.pem", "line 5: ca_file"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1", "line 1: x: unknown; there are [[server]], [chain], [defaults], [breaker] and [[tools]]"),
        ("server = 3", "line 1: server: expected [[server]] tables"),
        ("chain = 3", "line 1: chain: expected a [chain] table"),
        ("defaults = 3", "line 1: defaults: expected a [defaults] table"),
        ("breaker = 3", "line 1: breaker: expected a [breaker] table"),
        ("[breaker]\nopen_s = -1", "line 2: open_s: expected greater than 0"),
        ("[defaults]\nname = 'a'", "line 2: name: unknown"),
        ("[[server]]\nkind = 'ollama'\nurl = 'http://a'", "line 1: name: expected"),
        (GPU1.replace("gpu1", "GPU 1", 1), "line 2: name: expected 1 to 32 of a-z, 0-9 and -"),
        (GPU1.replace('"ollama"', '"x"'), "line 3: kind: expected 'ollama', 'openai', 'groq', 'anthropic' or 'gemini'"),
        (GPU1 + GPU1, "line 6: name: another server has it"),
        (GPU1.replace('"gpu1"', '["gpu1"]'), "line 2: name: expected a valid string"),
        (GPU1.replace('"gpu1"', "{ a = 1 }"), "line 2: name: expected a valid string"),
        (GPU1 + "colour = 'red'", "line 5: colour: unknown"),
        (GPU1 + "permits = 0", "line 5: permits: expected greater than or equal to 1"),
        (GPU1 + "permits = '2'", "line 5: permits: expected a valid integer"),
        (GPU1.replace("http://gpu1:11434", "http://u:p@gpu1"), "line 4: url: expected http[s]://host[:port][/path] "),
        (GPU1.replace("11434", "11434/v1"), "line 4: url: expected no path; its language brings its own"),
        (GPU1.rpartition("url")[0], "line 1: url: expected, since a server of kind ollama has no public one"),
        (GPU1 + 'key_env = "K"', "line 1: key_env, key_file: an Ollama takes no key"),
        (GPU1 + 'cure = "unload"', "line 5: cure: needs exclusive = true: nothing else may use that Ollama"),
        (GPU1 + 'proxy = "https://p"', 'line 5: proxy: expected http://host:port, or "" for none'),
        (GROQ + 'key_file = "/k"', "line 6: key_file: expected this or key_env, not both"),
        (GROQ + 'url = "http://groq.example/v1"', "line 6: url: expected https, since a key goes there"),
        (GROQ + "skip_when_cold = true", "line 6: skip_when_cold: only an Ollama has it"),
        (
            GROQ.replace('key_env = "GROQ_API_KEY"', ""),
            "line 1: key_env: expected this or key_file: a server of kind gr",
        ),
        (OPENAI, 'line 1: models: expected, for example { "*" = "the name of a model there" }'),
        (OPENAI + 'models = { "a" = 5 }', "line 4: models.a: expected a valid string"),
        (
            GPU1 + 'models = { gpt = "gpt-5", "GPT:latest" = "gpt-4" }',
            'line 5: models: "GPT:latest": the same model as another key',
        ),
        (GROQ, "chain: default: expected, since no server is local"),
        (GPU1 + "[chain]\ndefault = 'gpu1'", 'line 6: "default": expected an order of servers, as in '),
        (GPU1 + "[chain]\ndefault = [[]]", 'line 6: "default": expected names of servers, and lists of such names'),
        (GPU1 + "[chain]\ndefault = ['b']", 'line 6: "default": there is no server of the name "b"'),
        (GPU1 + "[chain]\ndefault = ['gpu1', 'gpu1']", 'line 6: "default": gpu1 is named twice'),
        (GPU1 + "[chain]\n'a' = ['gpu1']\n'A:latest' = ['gpu1']", 'line 7: "A:latest": the same model as another key'),
        (GPU1 + "[chain]\n'' = ['gpu1']", "line 6: chain: expected default, or the name of a model"),
        (GPU1 + GROQ + "[chain]\ndefault = [['gpu1', 'groq']]", 'line 11: "default": a pool holds Ollamas, or none: '),
        (GPU1 + f"[chain]\ndefault = ['{'k' * 65}']", 'line 6: "default": there is no server of the name a name'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, expected: str) -> None:
    told = problems(text)

    assert any(problem.startswith(expected) for problem in told), told


def test_all_problems_are_told_at_once_in_the_order_of_their_lines() -> None:
    told = problems(GPU1 + "permits = 0\ncolour = 1\n" + GROQ + "permits = 'x'\n[chain]\ndefault = ['nobody']\n")

    assert [problem.partition(":")[0] for problem in told] == ["line 5", "line 6", "line 12", "line 14"]


def test_a_value_is_never_quoted() -> None:
    """A key may stand in the wrong place."""
    told = problems(GROQ.replace("GROQ_API_KEY", "gsk-secret!") + 'url = "https://gsk-secret@x"\n')

    assert not any("secret" in problem for problem in told)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xff", "expected UTF-8"),
        (b"a = ,\n", "line 1: not TOML"),
        (b"a = [", "end of document: not TOML"),
        (b" " * (FILE_BYTES + 1), "expected at most 1,048,576 bytes"),
    ],
)
def test_what_is_no_file_of_ours_is_refused_whole(raw: bytes, expected: str) -> None:
    with pytest.raises(BadConfig) as bad:
        read_config(raw, FALLBACKS)

    assert bad.value.problems == [expected]


CLOUD = OPENAI + 'key_env = "OPENAI_API_KEY"\nmodels = { "*" = "gpt-5-mini", "big" = "gpt-5" }\n'


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        (GPU1 + GROQ, False),
        (GPU1 + GROQ + '[chain]\ndefault = ["gpu1"]\n', False),
        (GPU1 + GROQ + '[chain]\ndefault = ["gpu1"]\nm = ["groq"]\n', True),
        (GPU1 + GROQ + '[chain]\ndefault = ["gpu1", "groq"]\n[defaults]\nlocal_only = true\n', False),
        (GPU1 + CLOUD + '[chain]\ndefault = ["gpu1", "o"]\n', True),
        (GPU1 + CLOUD + 'local = true\n[chain]\ndefault = ["gpu1", "o"]\n', False),
        ("", False),
    ],
)
def test_who_is_asked_elsewhere_counts_it(text: str, *, asks: bool) -> None:
    assert read(text).asks_cloud is asks


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (GROQ + '[chain]\ndefault = ["groq"]\n', ("llama-3.3-70b",)),
        (GROQ + CLOUD + '[chain]\ndefault = ["o", "groq"]\n', ("big", "gpt-5-mini", "llama-3.3-70b")),
        (GPU1 + GROQ + '[chain]\ndefault = ["gpu1", "groq"]\n', ()),
    ],
)
def test_where_nobody_lists_models_those_of_any_name_are_named_by_what_they_are_there(
    text: str, names: tuple[str, ...]
) -> None:
    assert read(text).named_models == names


def test_a_stream_steps_to_equals_and_to_those_that_come_next() -> None:
    config = read(GPU1 + GPU1.replace("gpu1", "gpu2") + GROQ + '[chain]\ndefault = [["gpu1", "gpu2"], "groq"]\n')

    assert set(config.steps()) == {
        ("gpu1", "gpu2"),
        ("gpu2", "gpu1"),
        ("gpu1", "groq"),
        ("gpu2", "groq"),
    }


def test_a_server_offers_what_it_names_and_what_it_calls_whatever_is_asked() -> None:
    text = OPENAI + 'models = { "tiny" = "gpt-5-mini", "*" = "gpt-5" }\n[chain]\ndefault = ["o"]\n'
    (server,) = read(text).servers

    assert [server.offers(model) for model in ("Tiny", "gpt-5", "gpt-5-mini")] == [True, True, False]
