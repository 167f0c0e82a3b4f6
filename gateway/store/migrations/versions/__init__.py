"""One file a schema, by its number; each goes both ways."""
