"""How the tables came about: alembic's folder. Within a release a migration only adds."""
