"""The image: what is in it and what is not, and that it runs whichever process its command names."""

import json
import re
from typing import Final

import pytest

from deploy.compiling import MODULES
from deploy.healthcheck import PROCESSES
from services.runtime.version import VERSION
from tests.chain import ROOT
from tests.containers import base_image, docker, image, printed
from tests.machine import needs

pytestmark = [pytest.mark.container, needs("engine"), pytest.mark.timeout(900)]

LAYERS_MB: Final = 70
LOCKED: Final = ("--rm", "--read-only", "--cap-drop", "ALL", "--user", "65532:65532", "--network", "none")
LOOK: Final = """
import importlib.metadata, json, os, stat, sys
files = [os.path.join(folder, name) for folder, _, names in os.walk("/") if not folder.startswith(("/proc", "/sys"))
         for name in names]
programs = [f for f in files if os.path.dirname(f) in {"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"}]
print(json.dumps({
    "pth": [f for f in files if f.endswith(".pth")],
    "special": [f for f in files if os.lstat(f).st_mode & (stat.S_ISUID | stat.S_ISGID) and os.path.isfile(f)],
    "programs": [f for f in programs if "python" not in os.path.basename(f)],
    "installers": [name for name in ("pip", "ensurepip", "setuptools") if importlib.util.find_spec(name)],
    "distributions": {d.name.lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()},
    "python": sys.version_info[:2],
    "user": os.getuid(),
}))
"""


def test_it_is_small_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {name: json.loads(printed(docker("inspect", name)))[0]["Size"] for name in (image(), base_image())}

    ours = (sizes[image()] - sizes[base_image()]) / 1e6

    with capsys.disabled():
        print(f"\nimage {sizes[image()] / 1e6:.1f} MB on {base_image()}, of which layers of ours {ours:.1f} MB")
    assert ours <= LAYERS_MB


def test_nothing_in_it_installs_packages_opens_a_shell_or_changes_its_user() -> None:
    """T22 and S15, by deploy/strip.py: and no .pth file runs code at a start."""
    found = json.loads(printed(docker("run", *LOCKED, image(), "python", "-c", f"import importlib.util{LOOK}")))

    distributions = found.pop("distributions")
    assert found == {"pth": [], "special": [], "programs": [], "installers": [], "python": [3, 13], "user": 65532}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", lock, re.MULTILINE))
    assert distributions.items() <= locked.items()
    assert set(locked) - set(distributions) <= {"colorama", "tzdata", "async-timeout"}, "but what other systems need"


@pytest.mark.parametrize("module", PROCESSES)
def test_every_process_runs_in_it_without_rights_and_without_a_network(module: str) -> None:
    """L13."""
    done = docker("run", *LOCKED, image(), "python", "-m", module, "--check")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_wrong_setting_ends_it_with_one_line() -> None:
    done = docker("run", *LOCKED, "--env", "SLUICE_GATEWAY_DRAIN_S=soon", image())

    assert done.returncode == 2
    assert done.stderr.strip().split("\n") == [
        "SLUICE_GATEWAY_DRAIN_S: expected a valid number, unable to parse string as a number"
    ]


def test_it_says_what_it_is() -> None:
    named = printed(docker("inspect", "--format", "{{json .Config.Labels}}", image()))

    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in json.loads(named).items()}
    assert labels["title"] == "Sluice"
    assert labels["base.name"] == base_image()
    assert {"version", "revision", "created", "licenses"} <= set(labels)
    said = printed(docker("run", *LOCKED, image(), "python", "-m", "proxy", "--version"))
    assert said.strip() == f"proxy {VERSION} ({labels['revision']})"


def test_the_token_path_is_compiled_in_it() -> None:
    names = [module.removesuffix(".py").replace("/", ".") for module in MODULES]
    look = f"import importlib; print([n for n in {names} if not importlib.import_module(n).__file__.endswith('.so')])"

    assert printed(docker("run", *LOCKED, image(), "python", "-c", look)).strip() == "[]"
