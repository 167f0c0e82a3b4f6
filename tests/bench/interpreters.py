"""The Python that the servers run on: one that is optimised, where the machine has one."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench.contender import clean_environ

NAMES: Final = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
FOLDERS: Final = "/usr/bin:/usr/local/bin"
_IS_OPTIMISED: Final = """
import sys, sysconfig
known = sysconfig.get_config_vars()
# Debian and Ubuntu build by profile without telling configure, and then blank the flag
by_profile = "--enable-optimizations" in (known.get("CONFIG_ARGS") or "") or (
    known.get("PGO_PROF_USE_FLAG") == "" and bool(known.get("PGO_PROF_GEN_FLAG"))
)
sys.exit(not (by_profile and sys.version_info >= (3, 11)))
"""
_ASK: Final = """
import importlib.metadata, json, platform, sys
import gateway.app, proxy.app
ours = [module for name, module in sys.modules.items() if name.partition(".")[0] in {"services", "proxy", "gateway"}]
print(json.dumps({
    "python": platform.python_version(),
    "compiled": sum((getattr(module, "__file__", None) or "").endswith(".so") for module in ours),
    "versions": {name: importlib.metadata.version(name) for name in ("aiohttp", "uvloop", "httptools", "orjson")},
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """What the servers run on.

    Attributes:
        optimised: built by profile; only then are figures judged.
        compiled: how many of our modules are compiled.
    """

    python: str
    optimised: bool
    compiled: int
    versions: Mapping[str, str]

    @property
    def mode(self) -> str:
        """How our modules run."""
        return f"{self.compiled} modules compiled" if self.compiled else "nothing compiled"


def interpreter(python: str, root: Path) -> Interpreter:
    """Ask ``python`` what it is, and which of our modules it finds compiled in ``root``."""
    asked = subprocess.run([python, "-c", _ASK], cwd=root, env=clean_environ(), capture_output=True, check=True)
    told: dict[str, Any] = json.loads(asked.stdout)
    return Interpreter(**told, optimised=optimised(python))


def optimised(python: str) -> bool:
    """Whether this Python was built by profile, and is new enough."""
    asked = subprocess.run([python, "-c", _IS_OPTIMISED], env=clean_environ(), capture_output=True, check=False)
    return asked.returncode == 0


def best_python(folder: Path, lock: Path) -> str:
    """Return an interpreter that has what runs: this one, or an optimised one with an environment in ``folder``."""
    if optimised(sys.executable):
        return sys.executable
    there = filter(None, (shutil.which(name, path=FOLDERS) for name in NAMES))
    found = next(filter(optimised, there), None)
    if found is None:
        return sys.executable
    environment = folder / "python"
    python, made_of = environment / "bin" / "python", environment / "made-of"
    if not made_of.exists() or made_of.read_text() != lock.read_text():
        # without pip: Debian packs what makes it apart from Python, and ours can install into it
        subprocess.run([found, "-m", "venv", "--clear", "--without-pip", str(environment)], check=True)
        install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([sys.executable, *install, "--require-hashes", "-r", str(lock)], check=True)
        made_of.write_text(lock.read_text())
    return str(python)
