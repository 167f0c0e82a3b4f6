"""deploy/pull.sh beside an Ollama that is a script, and whose server says what a real one says of a pull."""

import contextlib
import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chain import ROOT
from tests.machine import needs

pytestmark = needs("bash")

MB: Final = 1_000_000
LAYER: Final[dict[str, Any]] = {"status": "pulling dde5aa3fc5ff", "digest": "sha256:dde5aa3fc5ff", "total": 2000 * MB}
PULL: Final[list[dict[str, Any]]] = [
    {"status": "pulling manifest"},
    {**LAYER},
    *({**LAYER, "completed": done * MB} for done in range(0, 2001, 10)),
    {"status": "pulling 966de95ca8a6", "digest": "sha256:966de95ca8a6", "total": 1429, "completed": 1429},
    {"status": "verifying sha256 digest"},
    {"status": "success"},
]


@contextlib.contextmanager
def pulls(*said: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Serve POST /api/pull with these lines; give the address, and what was asked."""
    asked: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-ndjson")
            self.end_headers()
            self.wfile.writelines(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in said)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a program `ollama` that has the models of the file `here`."""
    script = f"""#!/bin/bash
case $1 in
    serve) echo served >>{tmp_path}/served; exec sleep 60 ;;
    ls) exit 0 ;;
    show) grep -qxF "$2" {tmp_path}/here ;;
esac
"""
    (tmp_path / "ollama").write_text(script)
    (tmp_path / "ollama").chmod(0o755)
    (tmp_path / "here").write_text("")
    return tmp_path


def pull(folder: Path, address: str, *models: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": f"{folder}:{os.environ['PATH']}", "OLLAMA_HOST": address, "OLLAMA_MODELS": f"{folder}/models"}
    return subprocess.run(
        ["bash", ROOT / "deploy" / "pull.sh", *models],
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_model_that_is_not_there_is_pulled_and_its_progress_told_in_steps(folder: Path) -> None:
    with pulls(*PULL) as (address, asked):
        done = pull(folder, address, "llama3.2")

    steps = [f"llama3.2: {percent} % of 2000 MB" for percent in range(0, 101, 5)]
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip().split("\n") == ["llama3.2: pulling", *steps, "llama3.2: pulled"]
    assert asked == [("/api/pull", {"model": "llama3.2"})]
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["blobs", "manifests"]


def test_a_model_that_is_there_is_not_asked_for_again(folder: Path) -> None:
    (folder / "here").write_text("llama3.2\n")

    with pulls(*PULL) as (address, asked):
        done = pull(folder, address, "llama3.2")

    assert (done.returncode, done.stdout, asked) == (0, "llama3.2: is here\n", [])


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}], "does not exist"),
        (PULL[:20], "broke off"),
    ],
)
def test_a_pull_that_fails_says_why_and_fails(folder: Path, said: list[dict[str, Any]], told: str) -> None:
    with pulls(*said) as (address, _):
        done = pull(folder, address, "llama9")

    assert done.returncode == 1
    assert told in done.stderr


def test_what_is_no_model_s_name_is_asked_of_nobody(folder: Path) -> None:
    with pulls(*PULL) as (address, asked):
        done = pull(folder, address, 'a","insecure":true,"x":"')

    assert (done.returncode, asked) == (2, [])


def test_an_ollama_that_does_not_start_is_an_end_with_its_words(folder: Path) -> None:
    (folder / "ollama").write_text("#!/bin/bash\n[ $1 = serve ] && echo no room >&2\nexit 1\n")

    done = pull(folder, "127.0.0.1:1", "llama3.2")

    assert done.returncode == 1
    assert "no room" in done.stderr
