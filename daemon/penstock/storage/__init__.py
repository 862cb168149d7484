"""TimescaleDB: the schema, and everything that reads or writes it."""
