"""The load generator and the model server: built from native/ when the bench starts, or their stand-ins in Python."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent / "native"
FLAGS: Final = ("-O2", "-Wall", "-Wextra", "-Werror")
COMPILERS: Final = ("cc", "gcc", "clang")
SHARED: Final = ("clock.c", "sockets.c", "timers.c")
SOURCE: Final = ("source.c", "request.c")
READERS: Final = ("readers.c", "reader.c", "response.c", "tokens.c", "samples.c", "tally.c")


@dataclass(frozen=True)
class Programs:
    """The commands that start them, and what they are."""

    source: Sequence[str]
    readers: Sequence[str]
    kind: str


class CannotBuild(Exception):
    """There is no C compiler, or it refused."""


def build(into: Path) -> Programs:
    """Compile both programs into the folder ``into``.

    Raises:
        CannotBuild: the message says why.
    """
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise CannotBuild("no C compiler (for example: apt install gcc libc6-dev)")
    into.mkdir(parents=True, exist_ok=True)
    built = [_compile(compiler, into / name, files) for name, files in (("source", SOURCE), ("readers", READERS))]
    return Programs([built[0]], [built[1]], f"C, {Path(compiler).name} {' '.join(FLAGS)}")


def in_python() -> Programs:
    """Return their stand-ins, which need nothing, and can be what is measured."""
    source, readers = ([sys.executable, "-m", f"tests.bench.python_{name}"] for name in ("source", "readers"))
    return Programs(source, readers, "Python, at a tenth of the speed of C: firehose and delays may be its own")


def _compile(compiler: str, program: Path, files: Sequence[str]) -> str:
    command = [compiler, *FLAGS, *(str(HERE / name) for name in (*files, *SHARED)), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotBuild(f"{compiler}: {done.stderr.strip()}")
    return str(program)
