"""Does to a private stack what a scenario says, and undoes it.

Whatever ends the run: a server that was stopped or killed here is started again before anything
else.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from penstock_simulator.disturbance import Disturbance, Server
from penstock_simulator.stack import Stack, StackError


class Disturber:
    """Carries out disturbances, one after the other.

    Args:
        stack: what is disturbed.
        planned: what is done to it, in the order of time.
        began: told that something begins, in words; what it returns is called when that is over.
    """

    def __init__(
        self,
        stack: Stack,
        planned: Sequence[Disturbance],
        *,
        began: Callable[[str], Callable[[], None]],
    ) -> None:
        self._stack = stack
        self._planned = planned
        self._began = began
        self.away: Server | None = None
        """What does not run now, by our doing."""

    async def run(self, started: asyncio.Event, stop: asyncio.Event) -> None:
        """Do it all, counting from `started`; once `stop` is set, undo it and begin nothing.

        Raises:
            StackError: a server is not a private one.
            SandboxError: a server did not end or start again.
        """
        await _either(started, stop)
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        for disturbance in self._planned:
            await _passed(stop, began_at + disturbance.at_seconds - loop.time())
            if stop.is_set():
                return
            await self._carry_out(disturbance, stop)

    async def _carry_out(self, disturbance: Disturbance, stop: asyncio.Event) -> None:
        name = disturbance.server
        server = self._stack.server(name)
        if server is None:
            raise StackError(f"the {name} is not a private one: nothing can be done to it")
        killed = disturbance.kill is not None
        over = self._began(f"The {name} was {'killed' if killed else 'stopped'}.")
        self.away = name
        try:
            await asyncio.to_thread(server.kill if killed else server.stop)
            await _passed(stop, disturbance.for_seconds)
        finally:
            await asyncio.to_thread(server.start)
            self.away = None
            over()


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
