import asyncio
from pathlib import Path

import pytest

from proxy.config.config import ServerConfig
from proxy.config.server_url import ServerUrl
from proxy.upstream.keys import KEY_BYTES, PERIOD_S, ServerKey, keep_read
from services.runtime.tasks import Tasks
from tests.eventually import soon

URL = ServerUrl("https", "a", 443)


def config(*, env: str = "", file: object = "") -> ServerConfig:
    return ServerConfig("a", "openai", URL, key_env=env, key_file=str(file))


def test_a_key_of_the_environment_is_what_it_is_at_start() -> None:
    key = ServerKey(config(env="A_KEY"), {"A_KEY": " secret \n"})

    assert (key.value, key.name, key.is_missing, key.read()) == ("secret", "A_KEY", False, False)


@pytest.mark.parametrize("value", ["", "  ", "with\nline", "schlüssel"])
def test_what_cannot_be_a_key_is_none(value: str) -> None:
    """It has to fit a header."""
    assert ServerKey(config(env="A_KEY"), {"A_KEY": value}).is_missing


def test_a_server_that_wants_no_key_misses_none() -> None:
    assert not ServerKey(config(), {}).is_missing


def test_a_file_that_changes_is_another_key_and_one_that_cannot_be_read_keeps_the_old(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("one\n")
    key = ServerKey(config(file=file))
    same = key.read()
    file.write_text("another")
    other = key.read(), key.value
    file.write_text("")
    empty = key.read(), key.value
    file.write_text("x" * (KEY_BYTES + 1))
    long = key.read(), key.value
    file.unlink()

    assert (same, other) == (False, (True, "another"))
    assert empty == long == (False, "another")
    assert (key.read(), key.value) == (False, "another")


def test_a_file_that_is_not_there_at_start_may_come(tmp_path: Path) -> None:
    key = ServerKey(config(file=tmp_path / "key"))
    missing = key.is_missing
    (tmp_path / "key").write_text("late")

    assert (missing, key.read(), key.value) == (True, True, "late")


async def test_files_are_looked_at_again_and_who_waits_for_that_may_leave(tmp_path: Path) -> None:
    file, changed = tmp_path / "key", list[ServerKey]()
    file.write_text("one")
    key, tasks = ServerKey(config(file=file)), Tasks()
    watching = tasks.spawn(keep_read([key], changed.append), "keys")
    await asyncio.sleep(0)
    file.write_text("another one")
    await soon(lambda: changed, "the change is told", within_s=3 * PERIOD_S)
    await tasks.close()

    assert (changed, key.value, watching.cancelled()) == ([key], "another one", True)
