"""Does to a private stack what a scenario says, and undoes it.

Whatever ends the run: a server that was stopped here is started again before anything else.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from penstock_simulator.scenario import Disturbance
from penstock_simulator.stack import Stack, StackError


class Disturber:
    """Carries out disturbances, one after the other.

    Args:
        stack: what is disturbed.
        planned: what is done to it.
        note: told what was done, as it is done.
    """

    def __init__(
        self, stack: Stack, planned: Sequence[Disturbance], *, note: Callable[[str], None]
    ) -> None:
        self._stack = stack
        self._planned = sorted(planned, key=lambda disturbance: disturbance.at_seconds)
        self._note = note

    async def run(self, started: asyncio.Event, stop: asyncio.Event) -> None:
        """Do it all, counting from `started`; once `stop` is set, undo it and begin nothing.

        Raises:
            StackError: the database is not a private one.
            SandboxError: a server did not start again.
        """
        await _either(started, stop)
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        for disturbance in self._planned:
            await _passed(stop, began_at + disturbance.at_seconds - loop.time())
            if stop.is_set():
                return
            await self._stop_database(disturbance.for_seconds, stop)

    async def _stop_database(self, seconds: float, stop: asyncio.Event) -> None:
        database = self._stack.database
        if database is None:
            raise StackError("the database is not a private one: it cannot be stopped")
        self._note("The database is stopped.")
        try:
            await asyncio.to_thread(database.stop)
            await _passed(stop, seconds)
        finally:
            await asyncio.to_thread(database.start)
        self._note("The database is back.")


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Wait until one of two events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


async def _passed(stop: asyncio.Event, seconds: float) -> None:
    """Wait for so long, or until `stop`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0.0, seconds)):
            await stop.wait()
