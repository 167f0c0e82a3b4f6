"""What `make run` is started with here: free addresses, and no model server."""

import pytest

from deploy.plan import LISTEN
from tests.ports import free_port


@pytest.fixture
def environ() -> dict[str, str]:
    addresses = {name: f"127.0.0.1:{free_port()}" for name in LISTEN}
    return {**addresses, "SLUICE_PROXY_OLLAMA_URL": f"http://127.0.0.1:{free_port()}"}
