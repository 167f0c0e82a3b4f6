"""The libraries of others: which, at what version, and whether npm has installed them yet.

package-lock.json pins them with integrity hashes, which npm checks; nothing of them is in git. ``make run`` installs
them in the background, so they are looked for again until all are there.
"""

import json
from pathlib import Path
from typing import Any, Final

from services.webchat.assets import Asset

LOCK: Final = Path(__file__).with_name("package-lock.json")
LANGUAGES: Final = (
    *("bash", "c", "cpp", "csharp", "css", "diff", "go", "java", "javascript", "json", "markdown", "python", "ruby"),
    *("rust", "sql", "typescript", "xml", "yaml"),
)
_FILES: Final = {
    "marked": ("lib/marked.esm.js",),
    "@highlightjs/cdn-assets": ("es/core.min.js", *(f"es/languages/{name}.min.js" for name in LANGUAGES)),
    "katex": ("dist/katex.min.js",),
}
_CALLED: Final = {"marked": "marked", "@highlightjs/cdn-assets": "highlight", "katex": "katex"}


class Libraries:
    """What can be served of others, by a path that names its version.

    Args:
        installed: where npm was run, or will be.
    """

    def __init__(self, installed: Path) -> None:
        packages: dict[str, Any] = json.loads(LOCK.read_bytes())["packages"]
        self._versions = {name: str(packages[f"node_modules/{name}"]["version"]) for name in _FILES}
        self._installed = installed / "node_modules"
        self._assets: dict[str, Asset] = {}
        self._found: dict[str, str] = {}

    @property
    def found(self) -> dict[str, str]:
        """Return the folder of each library that is there, by what the page calls it; looks for those that were not."""
        for name in _FILES:
            if _CALLED[name] not in self._found:
                self._look_for(name)
        return dict(self._found)

    def asset(self, path: str) -> Asset | None:
        """Return the file at ``path``, below the libraries' own path."""
        if path not in self._assets:
            _ = self.found  # a server that was started again meets the page that was there before
        return self._assets.get(path)

    def _look_for(self, name: str) -> None:
        place = self._installed / name
        try:
            version = json.loads((place / "package.json").read_bytes())["version"]
            bodies = {file: (place / file).read_bytes() for file in _FILES[name]}
        except (OSError, ValueError, KeyError):  # not there, or not wholly
            return
        if version != self._versions[name]:
            return  # left over from an older lock file
        called = _CALLED[name]
        for file, body in bodies.items():
            self._assets[f"{called}@{version}/{file}"] = Asset.of(body, file)
        self._found[called] = f"{called}@{version}"
