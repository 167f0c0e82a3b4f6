"""The tables as the newest migration leaves them (migrations/versions), for statements; times are ms of the epoch."""

from collections.abc import Iterable
from typing import Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Compiled,
    Dialect,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from gateway.store.rows import without_nul

SCHEMAS: Final = ("0001", "0002")
"""Every one that this version knows, oldest first."""
SCHEMA: Final = SCHEMAS[-1]


class PlainText(TypeDecorator[str]):
    """Text as both databases take it, whoever wrote it: PostgreSQL knows no NUL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _dialect: Dialect) -> str | None:
        """Write it, or compare with it."""
        return None if value is None else without_nul(value)


class Json(TypeDecorator[Any]):
    """JSON as text, in which a NUL is an escape: what we never ask the database about; an empty value is NULL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, _dialect: Dialect) -> str | None:
        """Write it."""
        return None if value is None or value in ((), [], {}) else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Any:
        """Read it."""
        return None if value is None else orjson.loads(value)


class JsonAsWritten(Json):
    """The same, as it is shown: what stands there is JSON, and goes into an answer without being read."""

    cache_ok = True

    def process_result_value(self, value: str | None, _dialect: Dialect) -> Any:
        """Take it as it is."""
        return None if value is None else orjson.Fragment(value)


class now_ms(FunctionElement[int]):  # noqa: N801 it is written as a function
    """The database's clock; SQLite's is the machine's."""

    type = BigInteger()
    inherit_cache = True


@compiles(now_ms, "sqlite")
def _sqlite_now(_element: Any, _compiler: Compiled, **_options: Any) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


@compiles(now_ms, "postgresql")
def _postgres_now(_element: Any, _compiler: Compiled, **_options: Any) -> str:
    return "(extract(epoch from clock_timestamp()) * 1000)::bigint"


METADATA: Final = MetaData()
_Number: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts an INTEGER primary key alone by itself

conversations: Final = Table(
    "conversations",
    METADATA,
    Column("number", _Number, primary_key=True),
    Column("id", PlainText, nullable=False, unique=True),
    Column("owner", PlainText, nullable=False),
    Column("title", PlainText, nullable=False),
    Column("named", Boolean, nullable=False),  # a person chose the title
    Column("model", PlainText),
    Column("system", PlainText),
    Column("think", Json),
    Column("options", Json),
    Column("current", PlainText),  # the message whose path is shown, and gone on with
    Column("version", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),  # when its last message came
)

messages: Final = Table(
    "messages",
    METADATA,
    Column("number", _Number, primary_key=True),
    Column("id", PlainText, nullable=False, unique=True),
    Column("conversation", PlainText, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("owner", PlainText, nullable=False),  # its conversation's: what is searched is one's own
    Column("parent", PlainText),
    Column("role", PlainText, nullable=False),
    Column("content", PlainText, nullable=False),
    Column("thinking", PlainText, nullable=False),
    Column("images", Json),
    Column("tools", Json),
    Column("tool_calls", Json),
    Column("turns", Json),
    Column("status", PlainText, nullable=False),
    Column("code", PlainText),
    Column("model", PlainText),
    Column("usage", Json),
    Column("timing", Json),
    Column("served_by", Json),
    Column("bytes", BigInteger, nullable=False),  # of text and images: how much a page of them is
    Column("created_at", BigInteger, nullable=False),
    # of an answer that streams
    Column("stream_id", PlainText),
    Column("leave", PlainText),
    Column("keeper", PlainText),
    Column("lease", BigInteger),  # until when its keeper has it
    Column("asked_as", PlainText),
)


def as_shown(columns: Iterable[ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    """Return columns as they are selected for an answer's body: thousands of small values would hold up everybody."""
    return [type_coerce(one, JsonAsWritten).label(one.key) if isinstance(one.type, Json) else one for one in columns]
