"""The image's health check finds out which process it looks after, and where that listens."""

import sys
from typing import Final

import pytest

from deploy.healthcheck import PROCESSES, is_alive
from tests.chain import Server
from tests.ports import free_port

INIT: Final = ["/sbin/docker-init", "--", "python", "-m"]


@pytest.mark.parametrize("module", PROCESSES)
def test_a_process_is_alive_while_it_listens(module: str) -> None:
    setting, _ = PROCESSES[module]
    metrics = {setting.replace("_LISTEN", "_METRICS_LISTEN"): "127.0.0.1:0"} if module in {"proxy", "gateway"} else {}
    environ = {setting: f"0.0.0.0:{free_port()}"}
    server = Server(module, environ | metrics)
    try:
        assert is_alive([*INIT, module], environ)
        assert is_alive([sys.executable, "-m", module], environ)
    finally:
        server.stop()

    assert not is_alive([*INIT, module], environ)


def test_what_is_none_of_ours_is_not_looked_after() -> None:
    with pytest.raises(KeyError):
        is_alive([*INIT, "http.server"], {})
