"""Brings the tables to this version's schema when a gateway starts: under a lock, in one transaction."""

from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, inspect, text

from gateway.store.schema import SCHEMA, SCHEMAS

log = structlog.get_logger()

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x51_0C_1C_E0
"""Of PostgreSQL, for as long as the transaction: gateways that start together wait for the first."""


class NewerSchema(Exception):
    """A newer version of Sluice was here: this one would not know what it writes."""


def migrate(connection: Connection, to: str = SCHEMA) -> None:
    """Bring the tables to the schema ``to``, from wherever they are.

    SQLite's transaction is the lock.

    Raises:
        NewerSchema: they are beyond what this version knows.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    now = schema_of(connection)
    if now is not None and now not in SCHEMAS:
        raise NewerSchema
    if now == to:
        return
    from alembic import command  # noqa: PLC0415 14 ms and 11 MiB, once a release
    from alembic.config import Config  # noqa: PLC0415 likewise

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    is_known = now is None or SCHEMAS.index(now) < SCHEMAS.index(to)
    (command.upgrade if is_known else command.downgrade)(config, to)
    log.info("store.migrated", schema=to, before=now)


def schema_of(connection: Connection) -> str | None:
    """Return which schema the tables have; None if there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
