"""Conversations, their messages, and the leases of answers that stream."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "conversations",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("named", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("model", "system", "think", "options", "current")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("version", "created_at", "updated_at")),
    )
    op.create_index("conversations_of_owner", "conversations", ["owner", "updated_at", "number"])
    op.create_index("conversations_by_age", "conversations", ["updated_at"])
    op.create_table(
        "messages",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("conversation", sa.Text, sa.ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("parent", sa.Text),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("role", "content", "thinking")),
        *(sa.Column(name, sa.Text) for name in ("images", "tools", "tool_calls", "turns")),
        sa.Column("status", sa.Text, nullable=False),
        *(sa.Column(name, sa.Text) for name in ("code", "model", "usage", "timing", "served_by")),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in ("bytes", "created_at")),
        *(sa.Column(name, sa.Text) for name in ("stream_id", "leave", "keeper")),
        sa.Column("lease", sa.BigInteger),
        sa.Column("asked_as", sa.Text),
    )
    op.create_index("messages_of_conversation", "messages", ["conversation", "number"])
    op.create_index("messages_of_owner", "messages", ["owner", "number"])
    is_streaming = sa.text("status = 'streaming'")
    op.create_index(
        "messages_streaming",
        "messages",
        ["lease"],
        sqlite_where=is_streaming,
        postgresql_where=is_streaming,
    )


def downgrade() -> None:
    """Take them away, with all that they hold."""
    op.drop_table("messages")
    op.drop_table("conversations")
