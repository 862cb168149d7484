"""The broker and the database server that trials share, one after the other."""

import secrets
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from penstock import sandbox


class Servers:
    """A private broker and a private database server, for faults of every kind.

    An experiment that stops one of them starts it again.
    """

    def __init__(self, folder: Path) -> None:
        """Prepare both in a folder whose path is short enough for UNIX sockets."""
        self.broker = sandbox.Broker(folder / "broker")
        self.postgres = sandbox.Postgres(folder / "postgres")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.broker)
            stack.enter_context(self.postgres)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def new_database(self) -> str:
        """The DSN of a fresh database with the TimescaleDB extension."""
        return sandbox.create_database(self.postgres.dsn, f"penstock_{secrets.token_hex(4)}")
