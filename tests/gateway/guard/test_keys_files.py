from pathlib import Path

import pytest

from gateway.guard.keys import BadKeysFile
from gateway.guard.keys_files import KeysFiles

KEY = '[[key]]\nid = "{}"\nhash = "' + "0" * 64 + '"\nname = "Ada"\n'


class Files:
    """A keys file and a pepper in a folder, and how often they could not be read."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.pepper, self.failed = folder / "keys.toml", folder / "pepper", 0
        self.pepper.write_bytes(b"p" * 32)
        self.write("a1B2c3D4")
        self.files = KeysFiles(self.keys, self.pepper, self.count)

    def write(self, *ids: str) -> None:
        self.keys.write_text("".join(map(KEY.format, ids)))

    def count(self) -> None:
        self.failed += 1

    async def changed(self) -> list[str] | None:
        ring = await self.files.changed()
        return None if ring is None else list(ring.keys)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


async def test_a_file_that_is_as_it_was_is_no_change(files: Files) -> None:
    assert list(files.files.read().keys) == ["a1B2c3D4"]
    assert await files.changed() is None


async def test_a_key_that_is_added_or_taken_away_is_read(files: Files) -> None:
    files.files.read()
    files.write("a1B2c3D4", "e5F6g7H8")
    added = await files.changed()
    files.write()

    assert (added, await files.changed()) == (["a1B2c3D4", "e5F6g7H8"], [])


async def test_a_change_within_the_same_second_and_length_is_seen(files: Files) -> None:
    """A secret that is mounted may keep its time of change."""
    files.files.read()
    files.write("e5F6g7H8")

    assert await files.changed() == ["e5F6g7H8"]


async def test_a_link_that_is_turned_to_another_file_is_followed(files: Files, tmp_path: Path) -> None:
    files.files.read()
    other = tmp_path / "other.toml"
    other.write_text(KEY.format("e5F6g7H8"))
    files.keys.unlink()
    files.keys.symlink_to(other)

    assert await files.changed() == ["e5F6g7H8"]


@pytest.mark.parametrize("broken", ["[[key]", KEY.format("short"), "other = 1"])
async def test_a_broken_file_changes_nothing_and_is_told_of_once(files: Files, broken: str) -> None:
    files.files.read()
    files.keys.write_text(broken)

    assert [await files.changed() for _ in range(3)] == [None] * 3
    assert files.failed == 1


async def test_a_file_that_is_away_is_told_of_once_and_read_when_it_is_back(files: Files) -> None:
    files.files.read()
    files.keys.unlink()
    away = [await files.changed() for _ in range(3)]
    files.write("e5F6g7H8")

    assert (away, files.failed) == ([None] * 3, 1)
    assert await files.changed() == ["e5F6g7H8"]


async def test_a_broken_file_that_becomes_what_it_was_counts_again(files: Files) -> None:
    files.files.read()
    files.keys.write_text("[[key]")
    await files.changed()
    files.write("a1B2c3D4")

    assert await files.changed() == ["a1B2c3D4"]


def test_a_file_that_cannot_be_used_at_start_is_told_with_its_name_and_line(files: Files) -> None:
    files.keys.write_text("[[key]")

    with pytest.raises(BadKeysFile) as bad:
        files.files.read()

    assert bad.value.problems == [f"{files.keys}: line 1: not TOML"]


def test_a_file_that_is_not_there_is_told_by_the_system_s_words(files: Files) -> None:
    files.keys.unlink()

    with pytest.raises(BadKeysFile) as bad:
        files.files.read()

    assert bad.value.problems == [f"{files.keys}: No such file or directory"]


@pytest.mark.parametrize("length", [0, 31])
def test_too_little_pepper_is_refused(files: Files, length: int) -> None:
    files.pepper.write_bytes(b"p" * length)

    with pytest.raises(BadKeysFile) as bad:
        KeysFiles(files.keys, files.pepper)

    assert bad.value.problems == [f"{files.pepper}: expected at least 32 random bytes"]
