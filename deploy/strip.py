"""Run once in the image's last stage, as root: takes away what a server never needs and an intruder would like.

Gone are every program but Python, pip and what makes it, the package manager's programs, and set-uid bits. What stays
is the list of Debian's packages (/var/lib/dpkg): scanners read there what has to be updated.
"""

import os
import shutil
import site
import stat
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
INSTALLERS: Final = ("pip", "ensurepip", "setuptools", "wheel", "pkg_resources", "_distutils_hack")
PACKAGE_MANAGER: Final = ("/usr/lib/apt", "/var/lib/apt", "/var/cache/apt", "/etc/apt")


def programs() -> Iterator[Path]:
    """All programs but Python, by whatever names it goes."""
    python = Path(sys.executable).resolve()
    for folder in {Path(folder).resolve() for folder in PROGRAMS}:
        yield from (path for path in folder.glob("*") if path.resolve() != python)


def installers() -> Iterator[Path]:
    """What installs Python packages, and the .pth files by which it would run code at every start."""
    folders = {sysconfig.get_path("stdlib"), *site.getsitepackages()}
    for folder in filter(Path.is_dir, map(Path, folders)):
        for name in INSTALLERS:
            yield from (folder / name, *folder.glob(f"{name}-*"))
        yield from folder.glob("*.pth")


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def take_away_special_bits() -> None:
    """No program of this file system gives its user or its group to whoever runs it."""
    root = Path("/").stat().st_dev
    for folder, subfolders, files in os.walk("/"):
        subfolders[:] = [name for name in subfolders if os.lstat(os.path.join(folder, name)).st_dev == root]  # noqa: PTH118 a string is all that walk gives
        for path in (Path(folder, name) for name in files):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                path.chmod(stat.S_IMODE(mode) & 0o777)


if __name__ == "__main__":
    for found in [*programs(), *installers(), *map(Path, PACKAGE_MANAGER), Path(__file__)]:
        remove(found)
    take_away_special_bits()
