from pathlib import Path

import pytest

from proxy.config.reading import Fallbacks, read_config
from proxy.config.tables import BreakerTable, DefaultsTable, ServerTable
from proxy.settings import ProxySettings
from proxy.upstream.config_file import config_of, demand_config
from services.runtime.settings import Origin, SettingsError

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "deploy" / "sluice.example.toml"
KEYED = '[[server]]\nname = "o"\nkind = "openai"\nkey_file = "{}"\nmodels = {{ "*" = "m" }}\n[chain]\ndefault = ["o"]\n'


def settings(path: Path, **more: object) -> ProxySettings:
    return ProxySettings.model_validate({"config": str(path), **more})


def test_without_a_file_there_is_one_ollama_with_the_environment_s_settings() -> None:
    said = {"permits": 7, "connect_timeout_s": 2.0, "queue_timeout_s": 9.0, "cure": "unload"}
    config = config_of(ProxySettings.model_validate(said))
    [server] = config.servers

    assert (server.name, server.permits, server.connect_timeout_s) == ("ollama", 7, 2.0)
    assert (server.queue_wait_s, server.cure, server.url.port) == (9.0, "unload", 11434)
    assert config.is_of_the_environment


def test_all_that_is_wrong_is_told_at_once_the_files_that_it_names_included(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_text(KEYED.format(tmp_path / "no such file") + 'other = ["nobody"]\n')
    with pytest.raises(SettingsError) as bad:
        demand_config(settings(file))

    assert bad.value.problems == [
        f'{file}: line 8: "other": there is no server of the name "nobody"',
        f"{file}: line 4: key_file: No such file or directory",
    ]


def test_a_file_that_is_away_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as bad:
        config_of(settings(tmp_path / "away.toml"))

    assert bad.value.problems == [f"{tmp_path / 'away.toml'}: No such file or directory"]


def test_two_places_that_say_where_the_ollama_is_are_one_too_many(tmp_path: Path) -> None:
    file = tmp_path / "sluice.toml"
    file.write_text('[[server]]\nname = "a"\nkind = "ollama"\nurl = "http://a"\n')
    with pytest.raises(SettingsError, match="SLUICE_PROXY_OLLAMA_URL: expected nothing beside"):
        config_of(settings(file, ollama_url=Origin("http", "a", 1)))


def test_a_cure_of_the_environment_s_is_its_own_server_s_alone(tmp_path: Path) -> None:
    tools, servers = tmp_path / "tools.toml", tmp_path / "servers.toml"
    tools.write_text('[[tools]]\nname = "t"\ncommand = ["x"]\nallow = ["a"]\n')
    servers.write_text('[[server]]\nname = "a"\nkind = "ollama"\nurl = "http://a"\n')

    assert [server.cure for server in config_of(settings(tools, cure="unload")).servers] == ["unload"]
    with pytest.raises(SettingsError, match="SLUICE_PROXY_CURE: expected nothing beside"):
        config_of(settings(servers, cure="unload"))


def test_certificates_that_are_none_are_told(tmp_path: Path) -> None:
    key, file, ca = tmp_path / "key", tmp_path / "sluice.toml", tmp_path / "ca.pem"
    key.write_text("k")
    ca.write_text("no certificate")
    file.write_text(KEYED.format(key).replace("[chain]", f'ca_file = "{ca}"\n[chain]'))
    with pytest.raises(SettingsError) as bad:
        config_of(settings(file))

    assert bad.value.problems == [f"{file}: o: ca_file: expected certificates in PEM form"]


def test_the_example_is_read_as_it_stands() -> None:
    assert len(config_of(settings(EXAMPLE)).servers) == 4


def test_the_example_with_every_comment_taken_away_is_read_too() -> None:
    """Whoever takes one away must not find out that it was wrong."""
    lines = EXAMPLE.read_text().split("\n")
    text = "\n".join(line.removeprefix("# ") if _is_setting(line) else line for line in lines)

    assert len(read_config(text.encode(), Fallbacks(1, 1.0, 1.0)).servers) == 5


def test_the_example_names_every_setting_that_there_is() -> None:
    text = EXAMPLE.read_text()
    known = {*ServerTable.model_fields, *DefaultsTable.model_fields, *BreakerTable.model_fields}

    assert [name for name in sorted(known) if f"{name} = " not in text and f"{name} =" not in text] == []


def _is_setting(line: str) -> bool:
    word = line.removeprefix("# ").partition(" ")
    return line.startswith("# ") and (word[2].startswith("= ") or word[0].startswith("[") or word[0] == "[[server]]")
