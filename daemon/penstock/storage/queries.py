"""The SQL that the daemon runs, one named file a statement, in the folder `sql`."""

from functools import cache
from importlib.resources import files


@cache
def query(name: str) -> str:
    """The statement in `sql/{name}.sql`."""
    return (files("penstock.storage") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
