"""Ends the daemon at a chosen boundary between two of its steps, as a power cut there would.

Run in place of Python, as `python tests/support/failpoints.py POINT PASSAGE -m penstock run …` or
with the path of a script: it wraps one function of Penstock, and the passage of that number through
the boundary ends the process with `REACHED`, with nothing closed, flushed or said.

What always holds: the code that is shipped knows nothing of this; and a boundary that has moved,
because a function has another name, is an error that says so.
"""

import asyncio
import os
import runpy
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from penstock.app.flow import Flow
from penstock.spool.file import SpoolFile
from penstock.spool.replayer import Replayer
from penstock.storage import session
from penstock.storage.connection import Connection
from penstock.storage.session import Session
from penstock.storage.write_set import Copy

REACHED = 86
"""The exit status."""
DEPARTURE_SECONDS = 0.02
"""Within which what was written to a socket has left the process."""

Passage = Callable[[], None]
"""Called at each passage through the boundary."""


def command(python_command: Sequence[str], point: str, passage: int) -> tuple[str, ...]:
    """What runs a Python program until its so manieth passage through a boundary."""
    python, *program = python_command
    assert point in POINTS
    return (python, str(Path(__file__)), point, str(passage), *program)


def before_copy(passage: Passage) -> None:
    """Series and everything else are ready, and no row has left for the database."""
    _precede(Session, "_copy", passage)


def before_copy_done(passage: Passage) -> None:
    """The rows of a COPY are sent, and CopyDone is not."""
    copy_rows = _function(Session, "_copy")

    async def sent(data: memoryview) -> AsyncIterator[memoryview]:
        yield data
        await asyncio.sleep(DEPARTURE_SECONDS)
        passage()

    async def copy_and_pass(self: Session, copy: Copy, prefix: str = "") -> None:
        parts = copy._replace(data=sent(copy.data))  # type: ignore[arg-type]
        await copy_rows(self, parts, prefix)

    Session._copy = copy_and_pass  # type: ignore[method-assign]


def before_commit(passage: Passage) -> None:
    """All COPYs of a transaction are done, and COMMIT is not sent."""
    _precede_commit("_write_plain", passage)


def before_staged_commit(passage: Passage) -> None:
    """What was new of the staged rows is inserted, and COMMIT is not sent."""
    _precede_commit("_write_staged", passage)


def before_acknowledging_committed(passage: Passage) -> None:
    """The database has committed, and no PUBACK has left."""
    _precede(Flow, "_committed", passage)


def before_replaying(passage: Passage) -> None:
    """Batches were read from the spool, and none of their rows has left for the database."""
    _precede(Replayer, "_commit", passage)


def before_acknowledging_spooled(passage: Passage) -> None:
    """The spool has committed and synced, and no PUBACK has left."""
    _precede(Flow, "_spooled", passage)


def in_spool_write(passage: Passage) -> None:
    """A batch is inserted into the spool, and its transaction not committed."""
    _follow(SpoolFile, "_add", passage)


def in_spool_removal(passage: Passage) -> None:
    """A batch is in the database and deleted from the spool, which has not committed that."""
    _follow(SpoolFile, "_remove", passage)


# The first while all that was committed is acknowledged: what is replayed then is nowhere else.
POINTS = {
    install.__name__: install
    for install in (
        before_replaying,
        before_copy,
        before_copy_done,
        before_commit,
        before_acknowledging_committed,
        before_staged_commit,
        before_acknowledging_spooled,
        in_spool_write,
        in_spool_removal,
    )
}


def _precede_commit(way: str, passage: Passage) -> None:
    """Pass when a transaction of one way into the tables is about to commit."""
    write, begin = _function(Session, way), session.transaction  # type: ignore[attr-defined]
    writing = ContextVar("writing", default=False)

    async def write_noted(self: Session, rows: Any) -> Any:
        token = writing.set(True)
        try:
            return await write(self, rows)
        finally:
            writing.reset(token)

    @asynccontextmanager
    async def pass_and_commit(connection: Connection, limit_seconds: float) -> AsyncIterator[None]:
        async with begin(connection, limit_seconds):
            yield
            if writing.get():
                passage()

    setattr(Session, way, write_noted)
    session.transaction = pass_and_commit  # type: ignore[attr-defined]


def _precede(owner: type, name: str, passage: Passage) -> None:
    function = _function(owner, name)

    def pass_and_call(*arguments: Any, **options: Any) -> Any:
        passage()
        return function(*arguments, **options)

    setattr(owner, name, pass_and_call)


def _follow(owner: type, name: str, passage: Passage) -> None:
    function = _function(owner, name)

    def call_and_pass(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        passage()
        return result

    setattr(owner, name, call_and_pass)


def _function(owner: type, name: str) -> Callable[..., Any]:
    """A function of a class; ends the process when it has no such function of its own."""
    function = vars(owner).get(name)
    if not callable(function):
        sys.exit(f"{__file__}: {owner.__qualname__}.{name} is gone; wrap what took its place")
    return function  # type: ignore[no-any-return]


def _end_at(number: int) -> Passage:
    """End the process at the passage of this number."""
    left = number

    def passage() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os._exit(REACHED)

    return passage


def _run_program(arguments: list[str]) -> None:
    """Do what Python would do with these arguments: `-m MODULE …` or `SCRIPT …`."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    _, point, number, *program = sys.argv
    POINTS[point](_end_at(int(number)))
    _run_program(program)
