"""Waiting for what must come true, however slow the machine is."""

import asyncio
import time
from collections.abc import Callable

DEADLINE_SECONDS = 30.0


async def until(condition: Callable[[], object], what: str) -> None:
    """Return once `condition` holds; fail, naming `what`, when it never does."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.005)
