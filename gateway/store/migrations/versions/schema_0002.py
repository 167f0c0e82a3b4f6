"""Full text: words of titles and of the first 200,000 characters of a message, kept by the database itself.

SQLite: FTS5 beside each table, fed by triggers, without a second copy of the text. PostgreSQL: a generated column. A
word of a language with cases is its lower form, without accents in SQLite (``unicode61``), with them in PostgreSQL
(``simple``): none is stemmed, for nobody says which language it is.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

CHARACTERS = 200_000
TABLES = {"conversations": ("title", "title_words"), "messages": ("content", "message_words")}


def upgrade() -> None:
    """Index what there is, and what comes."""
    if op.get_bind().dialect.name == "sqlite":
        for table, (text, words) in TABLES.items():
            _index_in_sqlite(table, text, words)
        return
    # Compound words (a URL, a-b-c) count several times, and a tsvector ends at 1 MiB: writing must not fail for that.
    op.execute(f"""
        CREATE FUNCTION sluice_words(given text) RETURNS tsvector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
        BEGIN
            RETURN to_tsvector('simple', left(given, {CHARACTERS}));
        EXCEPTION WHEN program_limit_exceeded THEN
            RETURN to_tsvector('simple', left(given, {CHARACTERS // 8}));
        END $$
    """)
    for table, (text, words) in TABLES.items():
        op.execute(f"ALTER TABLE {table} ADD COLUMN words tsvector GENERATED ALWAYS AS (sluice_words({text})) STORED")
        op.execute(f"CREATE INDEX {words} ON {table} USING gin (words)")


def downgrade() -> None:
    """Take the index away; the text stays."""
    if op.get_bind().dialect.name == "sqlite":
        for table, (_, words) in TABLES.items():
            for when in ("added", "removed", "changed"):
                op.execute(f"DROP TRIGGER {table}_words_{when}")
            op.execute(f"DROP TABLE {words}")
            op.execute(f"DROP VIEW {words}_of")
        return
    for table, (_, words) in TABLES.items():
        op.execute(f"DROP INDEX {words}")
        op.execute(f"ALTER TABLE {table} DROP COLUMN words")
    op.execute("DROP FUNCTION sluice_words(text)")


def _index_in_sqlite(table: str, text: str, words: str) -> None:
    def entry(row: str) -> str:
        return f"{row}.number, substr({row}.{text}, 1, {CHARACTERS})"

    def add(row: str) -> str:
        return f"INSERT INTO {words}(rowid, text) VALUES ({entry(row)});"

    def remove(row: str) -> str:
        return f"INSERT INTO {words}({words}, rowid, text) VALUES ('delete', {entry(row)});"

    op.execute(f"CREATE VIEW {words}_of AS SELECT number, substr({text}, 1, {CHARACTERS}) AS text FROM {table}")
    op.execute(
        f"CREATE VIRTUAL TABLE {words} USING fts5("
        f"text, content='{words}_of', content_rowid='number', tokenize='unicode61')"
    )
    for when, event, body in (
        ("added", "INSERT", add("new")),
        ("removed", "DELETE", remove("old")),
        ("changed", f"UPDATE OF {text}", remove("old") + add("new")),
    ):
        op.execute(f"CREATE TRIGGER {table}_words_{when} AFTER {event} ON {table} BEGIN {body} END")
    op.execute(f"INSERT INTO {words}({words}) VALUES ('rebuild')")
