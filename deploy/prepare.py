"""``python -m deploy.prepare FILE``: what must be so before the containers start; compose's first service.

The settings of all our processes are good, and FILE holds Grafana's password.
"""

import secrets
import subprocess
import sys
from pathlib import Path
from typing import Final

CHECKED: Final = ("proxy", "gateway", "services.webchat")
PASSWORD_BYTES: Final = 24
EVERYBODY_READS: Final = 0o444
"""Grafana has a user of its own; who mounts the volume is who may read."""


def settings_are_good() -> bool:
    """Have each process judge the environment, which is the same for all; it says what it does not like."""
    checks = [subprocess.Popen([sys.executable, "-m", module, "--check"]) for module in CHECKED]  # noqa: S603 ours
    codes = [check.wait() for check in checks]  # of all: each says its own
    return not any(codes)


def keep_password(file: Path) -> None:
    """Make a password, unless there is one: whoever is on the machine can read it, and nobody can guess it."""
    if not file.exists():
        made = file.with_suffix(".new")
        made.write_text(secrets.token_urlsafe(PASSWORD_BYTES))
        made.chmod(EVERYBODY_READS)
        made.rename(file)


if __name__ == "__main__":
    if not settings_are_good():
        sys.exit(2)
    keep_password(Path(sys.argv[1]))
