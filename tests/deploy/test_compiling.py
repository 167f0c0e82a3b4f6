"""Which tree `make run` takes: the compiled one, as long as it is of the source that people see."""

from pathlib import Path

import pytest

from deploy.compiling import MODULES, TREE, current_tree
from tests.architecture.source import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of empty modules, and the tree that was compiled of it."""
    for root in (tmp_path, tmp_path / TREE):
        for module in (*MODULES, "services/http/edge.py"):
            (root / module).parent.mkdir(parents=True, exist_ok=True)
            (root / module).touch()
    for module in MODULES:
        extension_of(tmp_path, module).touch()
    return tmp_path


def extension_of(checkout: Path, module: str) -> Path:
    return (checkout / TREE / module).with_suffix(".cpython-311-x86_64-linux-gnu.so")


def test_what_was_compiled_of_the_same_source_is_run(checkout: Path) -> None:
    assert current_tree(checkout) == checkout / TREE


def test_where_nothing_was_compiled_the_source_is_run(tmp_path: Path) -> None:
    assert current_tree(tmp_path) == tmp_path


@pytest.mark.parametrize("module", [MODULES[0], "services/http/edge.py"])
def test_an_edit_is_never_hidden_by_what_was_compiled_before_it(checkout: Path, module: str) -> None:
    """Of a module that is not compiled, too: both lie in the tree that is run."""
    (checkout / module).write_text("edited = True\n", encoding="utf-8")

    assert current_tree(checkout) == checkout


@pytest.mark.parametrize("tree", [".", TREE])
def test_a_module_that_came_or_went_since_is_an_edit(checkout: Path, tree: str) -> None:
    (checkout / tree / "proxy" / "new.py").touch()

    assert current_tree(checkout) == checkout


def test_a_tree_that_is_compiled_in_part_is_not_run(checkout: Path) -> None:
    extension_of(checkout, MODULES[-1]).unlink()

    assert current_tree(checkout) == checkout


@pytest.mark.parametrize("module", MODULES)
def test_what_is_to_be_compiled_is_there(module: str) -> None:
    assert (ROOT / module).is_file()
