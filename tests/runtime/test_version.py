from pathlib import Path

from services.runtime.version import VERSION, build_of, revision


def test_the_revision_is_what_the_build_of_the_image_wrote(tmp_path: Path) -> None:
    (tmp_path / "REVISION").write_text("3f2a9c1\n")

    assert revision(tmp_path) == "3f2a9c1"


def test_without_an_image_the_revision_is_source(tmp_path: Path) -> None:
    assert revision(tmp_path) == "source"


def test_a_process_names_itself_its_version_and_its_revision() -> None:
    assert build_of("proxy") == f"proxy {VERSION} (source)"
