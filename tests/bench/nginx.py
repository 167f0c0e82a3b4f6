"""Two chained nginx, as a good operator sets them for streams: nothing gathered, connections kept, HTTP/1.1."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.contender import NGINX, Contender, process, wait_for_answer
from tests.bench.cores import Cores, pinned
from tests.eventually import eventually
from tests.ports import free_port
from tests.processes import children_of

HOW_TO_GET: Final = "no nginx here, and so nothing to compare with (for example: apt install nginx-light)"
CONFIGURATION: Final = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/{name}.pid;
error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
    access_log {folder}/{name}-access.log;
    {temporary}
    gzip off;
    tcp_nodelay on;
    keepalive_requests 100000;
    upstream next {{
        server 127.0.0.1:{upstream};
        keepalive 1024;
        keepalive_requests 100000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://next;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_read_timeout 300s;
        }}
    }}
}}
"""
_TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def nginx_program() -> str | None:
    """Return where nginx is; None where there is none."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def nginx_twice(program: str, model_server: int, cores: Cores, folder: Path) -> Iterator[Contender]:
    """Run one nginx in front of another in front of the model server."""
    with contextlib.ExitStack() as stack:
        upstream, hops = model_server, {}
        for name, core in zip(("second", "first"), reversed(cores.hops), strict=True):
            port, log = free_port(), folder / f"nginx-{name}.log"
            configuration = folder / f"nginx-{name}.conf"
            configuration.write_text(_configuration(name, port, upstream, folder))
            command = [program, "-e", "stderr", "-p", str(folder), "-c", str(configuration)]
            with pinned(core):
                child = stack.enter_context(process(command, log=log, cwd=folder))
            wait_for_answer(f"http://127.0.0.1:{port}/api/version", child, log)
            eventually(lambda child=child: children_of(child.pid), "nginx has its worker")  # type: ignore[misc] # a default binds it
            hops[name] = [child.pid, *children_of(child.pid)]
            upstream = port
        yield Contender(NGINX, upstream, "/api/chat", hops={"first": hops["first"], "second": hops["second"]})


def _configuration(name: str, port: int, upstream: int, folder: Path) -> str:
    temporary = "\n    ".join(f"{which}_temp_path {folder}/{name}-{which};" for which in _TEMPORARY)
    user = "user root;" if os.geteuid() == 0 else ""  # its worker must reach the folder
    return CONFIGURATION.format(
        name=name, port=port, upstream=upstream, folder=folder, temporary=temporary, user=user, files=16384
    )
