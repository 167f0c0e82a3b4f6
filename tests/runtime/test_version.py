from pathlib import Path

from services.runtime.version import revision


def test_the_revision_is_what_the_build_of_the_image_wrote(tmp_path: Path) -> None:
    (tmp_path / "REVISION").write_text("3f2a9c1\n")

    assert revision(tmp_path) == "3f2a9c1"


def test_without_an_image_the_revision_is_source(tmp_path: Path) -> None:
    assert revision(tmp_path) == "source"
