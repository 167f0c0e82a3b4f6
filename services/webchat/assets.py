"""Files that are handed out: read once, compressed once, named by what they hold."""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from aiohttp import web

from services.webchat.stripping import stripped

FOREVER: Final = "public, max-age=31536000, immutable"
"""For paths that name a version: what stands there never changes."""
ASK_AGAIN: Final = "no-cache"
"""Kept, and asked after with its ETag each time."""
_TEXT: Final = ("text/", "application/json", "image/svg+xml")
_TYPES: Final = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, the same compressed where that is shorter, its type, its ETag."""

    body: bytes
    compressed: bytes | None
    content_type: str
    etag: str

    @classmethod
    def of(cls, body: bytes, name: str) -> Self:
        """Prepare ``body``, whose type its ``name`` says."""
        kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        is_text = kind.startswith(_TEXT)
        smaller = gzip.compress(body, compresslevel=9, mtime=0) if is_text else body
        return cls(
            body,
            smaller if len(smaller) < len(body) else None,
            f"{kind}; charset=utf-8" if is_text else kind,
            hashlib.sha256(body).hexdigest()[:16],
        )

    def answer(self, request: web.Request, cache_control: str) -> web.Response:
        """Return the answer to ``request``: 304 where it has this very file, compressed where it takes that."""
        headers = {"Cache-Control": cache_control, "ETag": f'"{self.etag}"', "Vary": "Accept-Encoding"}
        if any(tag.value in {self.etag, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = self.content_type
        body = self.body
        if self.compressed is not None and _takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            body = self.compressed
        return web.Response(body=body, headers=headers)


def _takes_gzip(request: web.Request) -> bool:
    codings = request.headers.get("Accept-Encoding", "").lower().replace(" ", "").split(",")
    return "gzip" in codings or any(coding.startswith("gzip;q=") and coding[7:].strip("0.") for coding in codings)


def read_folder(folder: Path) -> dict[str, Asset]:
    """Return every file below ``folder`` by its path in it; of scripts, what is not comment."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): Asset.of(_read(path), path.name) for path in files}


def _read(path: Path) -> bytes:
    return stripped(path.read_text("utf-8")).encode() if path.suffix == ".js" else path.read_bytes()


def version_of(assets: dict[str, Asset]) -> str:
    """Return a name for exactly these files, to stand in their paths."""
    listed = "\n".join(f"{name} {asset.etag}" for name, asset in sorted(assets.items()))
    return hashlib.sha256(listed.encode()).hexdigest()[:16]
