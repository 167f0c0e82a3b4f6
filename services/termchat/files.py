"""Files that hold what a person typed or was told: theirs alone to read, and written whole or not at all."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
HISTORY_BYTES: Final = 1 << 20
"""Some ten thousand lines; a longer history loses its older half."""
LOAD_BYTES: Final = 8 << 20
"""Of a conversation to load: as much as a request may have."""


class NotReadable(Exception):
    """A file cannot be read or written; the message says why."""


def path_of(text: str) -> Path:
    """Return the path that a person means; ``~`` is somebody's home.

    Raises:
        NotReadable: nobody has that home, or no file can be called so.
    """
    if "\0" in text:
        raise NotReadable("no file is called so")
    try:
        return Path(text).expanduser()
    except RuntimeError as exc:
        raise NotReadable("that home is not known") from exc


def history_path(environ: Mapping[str, str]) -> Path:
    """Return where the history of what was typed is kept (the XDG Base Directory Specification).

    Raises:
        NotReadable: there is no home to keep it in.
    """
    state = environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if Path(state).is_absolute() else path_of("~/.local/state")
    return folder / "sluice" / "history"


def prepare_history(path: Path) -> None:
    """Make the file, readable by its owner alone, and cut it where it has grown long.

    Raises:
        NotReadable: it cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE), "r+b") as file:
            os.fchmod(file.fileno(), PRIVATE)
            if os.fstat(file.fileno()).st_size <= HISTORY_BYTES:
                return
            file.seek(-HISTORY_BYTES // 2, os.SEEK_END)
            newer = file.read()
        write_privately(path, newer[newer.find(b"\n# ") + 1 :])  # an entry begins with its time
    except OSError as exc:
        raise NotReadable(why(exc)) from exc


def read_text(path: Path) -> str:
    """Return what a file says.

    Raises:
        NotReadable: it is not there, too long, no text, or no file: a pipe could keep us waiting for ever.
    """
    try:
        if not path.is_file():
            path.stat()  # says why, if it is not there
            raise NotReadable("it is no file")
        with path.open("rb") as file:
            data = file.read(LOAD_BYTES + 1)
        if len(data) > LOAD_BYTES:
            raise NotReadable(f"it is longer than {LOAD_BYTES} bytes")
        return data.decode("utf-8")
    except OSError as exc:
        raise NotReadable(why(exc)) from exc
    except UnicodeDecodeError as exc:
        raise NotReadable("it is no text") from exc


def write_privately(path: Path, data: bytes) -> None:
    """Write a file whole, readable by its owner alone; one that is there is replaced only when all is written.

    Raises:
        OSError: it cannot be written; what was there is still there.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:  # mkstemp's mode is 0600
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def is_there(path: Path) -> bool:
    """Whether something has that name; what cannot be looked at has none that we could replace."""
    try:
        return path.exists()
    except OSError:
        return False


def save_text(path: Path, text: str) -> None:
    """Write a file as :func:`write_privately` does.

    Raises:
        NotReadable: it cannot be written.
    """
    try:
        write_privately(path, text.encode())
    except OSError as exc:
        raise NotReadable(why(exc)) from exc


def why(exc: OSError) -> str:
    """Return why a file cannot be read or written, as a person reads it."""
    return (exc.strerror or "it cannot be opened").lower()
