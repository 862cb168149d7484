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
from pathlib import Path
from types import ModuleType
from typing import Any

from penstock.app.flow import Flow
from penstock.spool.file import SpoolFile
from penstock.spool.replayer import Replayer
from penstock.storage import copying, session
from penstock.storage.connection import Connection

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
    _precede(copying, "send", passage)


def before_copy_done(passage: Passage) -> None:
    """The rows of a COPY are sent, and CopyDone is not."""
    send = _function(copying, "send")

    async def sent(data: memoryview) -> AsyncIterator[memoryview]:
        yield data
        await asyncio.sleep(DEPARTURE_SECONDS)
        passage()

    async def send_and_pass(connection: Connection, statements: str, data: memoryview) -> Any:
        return await send(connection, statements, sent(data))

    copying.send = send_and_pass


def in_commit(passage: Passage) -> None:
    """The last rows of a batch and its COMMIT are sent, and nobody has looked for the answer."""
    send = _function(copying, "send")

    async def send_and_pass(connection: Connection, statements: str, data: memoryview) -> Any:
        sending = asyncio.ensure_future(send(connection, statements, data))
        if statements.endswith("commit"):
            await asyncio.sleep(DEPARTURE_SECONDS)
            passage()
        return await sending

    copying.send = send_and_pass


def before_staged_commit(passage: Passage) -> None:
    """What was new of the staged rows is inserted, and COMMIT is not sent."""
    transaction = _function(session, "transaction")

    @asynccontextmanager
    async def pass_and_commit(connection: Connection, limit_seconds: float) -> AsyncIterator[None]:
        async with transaction(connection, limit_seconds):
            yield
            passage()

    session.transaction = pass_and_commit  # type: ignore[attr-defined]


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
        in_commit,
        before_acknowledging_committed,
        before_staged_commit,
        before_acknowledging_spooled,
        in_spool_write,
        in_spool_removal,
    )
}


def _precede(owner: type | ModuleType, name: str, passage: Passage) -> None:
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


def _function(owner: type | ModuleType, name: str) -> Callable[..., Any]:
    """A function of a class or module; ends the process when it has no such function of its own."""
    function = vars(owner).get(name)
    if not callable(function):
        sys.exit(f"{__file__}: {owner.__name__}.{name} is gone; wrap what took its place")
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
