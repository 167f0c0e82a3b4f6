"""`make build`: the token path, compiled to C by mypyc from the same source.

    checkout ──copy──▶ .compiled/ ──mypyc, in place──▶ the same tree, an extension beside each module of MODULES

Python prefers an extension to the module beside it. So they lie in a tree of their own, which `make run` takes while it
is of the same source as the checkout (:func:`current_tree`): an edit is never hidden by what was compiled before it.
An image is built once and not edited: there, and only there, the modules are compiled where they lie (``--here``).
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TREE: Final = ".compiled"
PACKAGES: Final = ("services", "proxy", "gateway")
"""What runs: while any file of these differs from the checkout's, the tree is not used."""

MODULES: Final = (
    "services/http/chunk.py",
    "services/http/connection.py",
    "services/http/sink.py",
    "services/runtime/shared_timers.py",
    "services/runtime/wake.py",
    "services/runtime/watchdog.py",
    "services/telemetry/histogram.py",
    "services/telemetry/stages.py",
    "services/telemetry/timeline.py",
    "services/wire/ndjson.py",
    "services/wire/native.py",
    "proxy/providers/fields.py",
    "proxy/providers/ollama.py",
    "proxy/providers/ollama_line.py",
    "proxy/streams/follower.py",
    "proxy/streams/log.py",
    "proxy/streams/milestone.py",
    "proxy/streams/presence.py",
    "proxy/streams/registry.py",
    "proxy/streams/status_throttle.py",
    "proxy/streams/stream.py",
    "proxy/streams/timeline.py",
    "proxy/upstream/call.py",
    "proxy/upstream/producer.py",
    "proxy/routes/streams.py",
    "proxy/routes/responder.py",
    "gateway/routes/native.py",
    "gateway/routes/responder.py",
    "gateway/relay/hops.py",
    "gateway/relay/content_meter.py",
    "gateway/relay/followed_hop.py",
    "gateway/relay/passage.py",
    "gateway/relay/relay.py",
    "gateway/relay/timeline.py",
)
"""What every token passes, what those inherit from, and what a stream waits in. See ARCHITECTURE.md,
"The token path is compiled"."""


class CannotCompile(Exception):
    """The message is the one line for the user."""


def current_tree(root: Path = ROOT) -> Path:
    """Return the tree to run the servers from: the compiled one if it is of ``root``'s source, else ``root`` itself."""
    tree = root / TREE
    return tree if is_compiled(tree) and _sources(tree) == _sources(root) else root


def is_compiled(tree: Path) -> bool:
    """Whether every module that is to be compiled is."""
    return all(any((tree / module).parent.glob(f"{Path(module).stem}.*.so")) for module in MODULES)


def build(root: Path = ROOT) -> Path:
    """Copy the checkout beside itself, compile the copy, and return it; an older one is replaced when all went well.

    Raises:
        CannotCompile: something is missing, or the compiler refused.
    """
    tree, part = root / TREE, root / f"{TREE}.part"
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(root, part, ignore=_left_out)
    compile_in(part)
    shutil.rmtree(tree, ignore_errors=True)
    part.rename(tree)
    return tree


def compile_in(tree: Path) -> None:
    """Compile :data:`MODULES` where they lie in ``tree``.

    Raises:
        CannotCompile: something is missing, or the compiler refused.
    """
    try:
        from mypyc.build import mypycify  # noqa: PLC0415 only for development and in an image's build
        from setuptools import Distribution  # type: ignore[import-untyped]  # noqa: PLC0415  it has no types
    except ImportError as exc:
        raise CannotCompile(f"{exc.name} is missing: make setup installs it") from exc
    os.chdir(tree)  # mypyc knows modules by their paths from here
    extensions = mypycify(["--config-file=pyproject.toml", *MODULES], debug_level="0", target_dir="build")
    distribution = Distribution({"name": "sluice", "ext_modules": extensions})
    command = distribution.get_command_obj("build_ext")
    command.inplace, command.build_temp = True, "build"
    command.ensure_finalized()
    try:
        command.run()
    except Exception as exc:  # distutils' own, by whichever name: no compiler, no headers
        raise CannotCompile(
            f"a C compiler and Python's headers are needed (apt install gcc python3-dev): {exc}"
        ) from exc
    shutil.rmtree("build")


def _sources(tree: Path) -> dict[Path, bytes]:
    files = (path for package in PACKAGES for path in (tree / package).rglob("*.py"))
    return {path.relative_to(tree): path.read_bytes() for path in files}


def _left_out(folder: str, names: Sequence[str]) -> set[str]:
    """Leave out what is no source: what begins with a dot in the checkout itself, and what Python and npm made."""
    hidden = {name for name in names if name.startswith(".") and Path(folder) == ROOT}
    return hidden - {".ci", ".github", ".gitignore"} | {"__pycache__", "node_modules", "build"} & set(names)


def main() -> int:
    """Compile, or say in one line why not."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compiling", description=__doc__)
    parser.add_argument("--here", action="store_true", help="in place: for an image, whose source is not edited")
    try:
        if parser.parse_args().here:
            compile_in(ROOT)
        else:
            print(f"compiled: {build().name}, which `make run` takes until the source changes")  # noqa: T201
    except CannotCompile as exc:
        print(f"{exc}\nNothing was compiled; everything runs as it is.", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
