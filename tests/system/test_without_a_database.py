"""What a gateway loads that keeps no conversations: nothing of what it would need for them (gateway/app.py)."""

import subprocess
import sys

from tests.chain import ROOT

LOOK = """
import sys
from gateway.app import GatewayService
from gateway.settings import GatewaySettings
import asyncio
async def make():
    GatewayService(GatewaySettings())
asyncio.run(make())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"sqlalchemy", "alembic", "aiosqlite", "asyncpg"}))
"""


def test_a_gateway_without_a_database_loads_none_of_its_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.rstrip("\n").rpartition("\n")[2] == "[]"
