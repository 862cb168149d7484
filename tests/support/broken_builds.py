"""Daemons broken on purpose, to show that the tests which guard a promise can fail.

Run as `python tests/support/broken_builds.py BREAKAGE run --config FILE`.
"""

import asyncio
import os
import sys

import msgspec

from penstock.app.flow import Flow
from penstock.cli import main
from penstock.model import Batch
from penstock.pipeline.intake import Intake, Sealed
from penstock.spool import database
from penstock.spool.replayer import Replayer
from penstock.spool.spool import Spool
from penstock.storage import queries, session


def acknowledge_before_commit() -> None:
    """Send the PUBACK when a batch is sealed, as a program would that trusts its queue."""
    enter = Flow._sealed

    def acknowledge_and_enter(self: Flow, sealed: Sealed) -> None:
        self.source.acknowledge(sealed.connection, sealed.packet_ids)
        enter(self, msgspec.structs.replace(sealed, packet_ids=()))

    Flow._sealed = acknowledge_and_enter  # type: ignore[method-assign]


def fail_in_a_timer() -> None:
    """Raise where no task would see it: in the timer that seals a batch by its age."""

    def fail(self: Intake) -> None:
        raise ZeroDivisionError("a bug in a timer")

    Intake._seal_by_age = fail  # type: ignore[method-assign]


def acknowledge_before_the_disk() -> None:
    """Take a batch for spooled while the kernel still has it, some seconds before the disk."""
    append_durably = Spool.append
    unfinished: set[asyncio.Future[None]] = set()

    async def append_later(self: Spool, batch: Batch) -> None:
        await asyncio.sleep(3)
        await append_durably(self, batch)

    async def append(self: Spool, batch: Batch) -> None:
        task = asyncio.ensure_future(append_later(self, batch))
        unfinished.add(task)
        task.add_done_callback(unfinished.discard)

    Spool.append = append  # type: ignore[method-assign]


def forget_before_commit() -> None:
    """Remove batches from the spool when they were read, a second before they are stored."""
    load = Replayer._load

    async def load_and_forget(self: Replayer) -> bool:
        known = {portion.numbers[0] for portion in self._loaded}
        found = await load(self)
        for portion in [one for one in self._loaded if one.numbers[0] not in known]:
            await self._spool.remove(portion.numbers)
            # The database would else be so quick that hardly any kill comes in between.
            await asyncio.sleep(1)
        return found

    Replayer._load = load_and_forget  # type: ignore[method-assign]


def skip_the_fsync() -> None:
    """Leave it to the kernel when the spool is written to the disk."""
    setup = database._SETUP.replace("synchronous = full", "synchronous = off")
    assert setup != database._SETUP, "the spool is set up in another way"
    database._SETUP = setup


def insert_without_looking() -> None:
    """Leave ON CONFLICT DO NOTHING out of what skips readings that are there already."""
    query = queries.query

    def careless_query(name: str) -> str:
        text = query(name)
        if not name.startswith("insert_readings"):
            return text
        careless = text.replace("on conflict do nothing", "")
        assert careless != text, "the statement has another wording"
        return careless

    session.query = careless_query  # type: ignore[assignment, attr-defined]


BREAKAGES = {
    "acknowledge_before_commit": acknowledge_before_commit,
    "acknowledge_before_the_disk": acknowledge_before_the_disk,
    "fail_in_a_timer": fail_in_a_timer,
    "forget_before_commit": forget_before_commit,
    "insert_without_looking": insert_without_looking,
    "skip_the_fsync": skip_the_fsync,
}
VARIABLE = "PENSTOCK_TEST_BREAKAGE"


def break_as_told() -> None:
    """Break what the environment names: for other launchers of changed daemons."""
    if VARIABLE in os.environ:
        BREAKAGES[os.environ[VARIABLE]]()


if __name__ == "__main__":
    BREAKAGES[sys.argv.pop(1)]()
    main()
