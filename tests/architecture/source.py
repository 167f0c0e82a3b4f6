"""Our source as the tests of this folder see it: modules, their syntax trees, their imports."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE_FOLDERS = ("services", "proxy", "gateway", "deploy")


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def imports(self) -> frozenset[str]:
        """Absolute names of the modules it imports; of ``from x import y`` both ``x`` and ``x.y``."""
        return frozenset(self._imported())

    @cached_property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]

    def _imported(self) -> Iterator[str]:
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                origin = ".".join([*above, *filter(None, [node.module])])
                yield origin
                yield from (f"{origin}.{alias.name}" for alias in node.names)


def imported(module: Module, modules: Mapping[str, Module]) -> frozenset[str]:
    """Return those of ``modules`` that it imports, a package only where nothing in it was named."""
    found = {name for name in module.imports if name in modules and name != module.name}
    return frozenset(name for name in found if not any(other.startswith(f"{name}.") for other in found))


def _read(folders: tuple[str, ...]) -> dict[str, Module]:
    found = {}
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path, path.read_text(encoding="utf-8"))
    return found


@cache
def source() -> dict[str, Module]:
    """What runs, by module name."""
    return _read(SOURCE_FOLDERS)


@cache
def suite() -> dict[str, Module]:
    """What tests it, by module name."""
    return _read(("tests",))


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether the module ``name`` is one of ``packages``, or in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)
