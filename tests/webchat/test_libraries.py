"""What npm installed is found while the server runs, and only at the versions of the lock file."""

import json
from pathlib import Path

from services.webchat.app import STATIC
from services.webchat.libraries import LANGUAGES, LOCK, Libraries

MARKED = "lib/marked.esm.js"


def install(tmp_path: Path, name: str, version: str, *files: str) -> None:
    place = tmp_path / "node_modules" / name
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(f"// {file}")
    (place / "package.json").write_text(json.dumps({"version": version}))


def pinned(name: str) -> str:
    packages = json.loads(LOCK.read_bytes())["packages"]
    return str(packages[f"node_modules/{name}"]["version"])


def test_without_them_the_page_is_told_of_none(tmp_path: Path) -> None:
    assert Libraries(tmp_path).found == {}


def test_one_that_is_installed_while_the_server_runs_is_found(tmp_path: Path) -> None:
    libraries = Libraries(tmp_path)
    assert libraries.found == {}

    install(tmp_path, "marked", pinned("marked"), MARKED)

    place = f"marked@{pinned('marked')}"
    assert libraries.found == {"marked": place}
    asset = libraries.asset(f"{place}/{MARKED}")
    assert asset is not None
    assert asset.body == f"// {MARKED}".encode()


def test_another_version_than_the_lock_file_s_is_not_served(tmp_path: Path) -> None:
    install(tmp_path, "marked", "1.0.0", MARKED)

    assert Libraries(tmp_path).found == {}


def test_one_that_is_there_in_part_only_is_not_served(tmp_path: Path) -> None:
    install(tmp_path, "@highlightjs/cdn-assets", pinned("@highlightjs/cdn-assets"), "es/core.min.js")

    assert Libraries(tmp_path).found == {}


def test_nothing_else_of_a_package_is_handed_out(tmp_path: Path) -> None:
    install(tmp_path, "marked", pinned("marked"), MARKED, "bin/marked.js")

    assert Libraries(tmp_path).asset(f"marked@{pinned('marked')}/bin/marked.js") is None


def test_the_page_and_the_server_know_the_same_languages() -> None:
    script = (STATIC / "js" / "libraries.js").read_text()
    listed = script.split("new Set(")[1].split('"')[1]

    assert tuple(listed.split()) == LANGUAGES


def test_every_package_is_pinned_by_a_hash() -> None:
    packages = json.loads(LOCK.read_bytes())["packages"]

    assert all("integrity" in package for name, package in packages.items() if name)
