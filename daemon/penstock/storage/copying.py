"""Copies rows into tables, and spends no round trip on what can travel with them.

What always holds: the COPYs of one transaction are committed together and durably, or not at all.
The statements that begin the transaction travel with the first COPY and its COMMIT with the last,
because a round trip is time in which neither the connection nor the server does anything: for
batches of some hundred rows, a third of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from penstock.storage.connection import Connection, begin, check_committed, rolled_back

_COMMIT = "commit"


class Copy(NamedTuple):
    """One COPY: a table and the rows for it, in binary format."""

    table: str
    columns: tuple[str, ...]
    data: memoryview

    @property
    def statement(self) -> str:
        """The SQL; names of ours need no quotes."""
        return f"copy {self.table} ({', '.join(self.columns)}) from stdin (format binary)"


async def copy_rows(connection: Connection, copy: Copy) -> None:
    """Copy within the transaction under way."""
    await send(connection, copy.statement, copy.data)


async def commit_copies(
    connection: Connection, copies: Sequence[Copy], limit_seconds: float
) -> None:
    """Copy all and commit it, or nothing of it; a statement ends in `limit_seconds`.

    It leaves the connection as `penstock.storage.connection.transaction` does.
    """
    before = f"{begin(limit_seconds)};\n"
    if not copies:
        check_committed(await connection.execute(before + _COMMIT))
        return
    statements = [copy.statement for copy in copies]
    statements[0] = before + statements[0]
    statements[-1] += f";\n{_COMMIT}"
    status = ""
    async with rolled_back(connection):
        for statement, copy in zip(statements, copies, strict=True):
            status = await send(connection, statement, copy.data)
    check_committed(status)


async def send(connection: Connection, statements: str, data: memoryview) -> str:
    """Run statements, one of which is a COPY that takes `data`; returns the last one's answer."""
    # The driver's public way writes the statement itself, and has no place for others beside it.
    status: str = await connection._copy_in(statements, data, None)  # type: ignore[attr-defined]  # noqa: SLF001
    return status
