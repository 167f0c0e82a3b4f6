"""What `make run` is started with here: free addresses, and no model server."""

import pytest

from deploy.plan import LISTEN
from tests.ports import free_ports


@pytest.fixture
def environ() -> dict[str, str]:
    free, *listened = free_ports(1 + len(LISTEN))
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(LISTEN, listened, strict=True)}
    return {**addresses, "SLUICE_PROXY_OLLAMA_URL": f"http://127.0.0.1:{free}"}
