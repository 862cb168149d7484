"""Ends a process that has run out of memory.

Where there is no memory, callbacks are lost on their way from the event loop to those who wait for
them: a daemon that went on, or tried to end in good order, could do neither and stay for ever. So
it ends at once. What it had not acknowledged the broker sends again, and whoever started it starts
it anew.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import NoReturn

import structlog

EXIT_STATUS = 1

log = structlog.get_logger(__name__)


def start(
    group: asyncio.TaskGroup, work: Coroutine[None, None, None], name: str
) -> asyncio.Task[None]:
    """Start some work as a task that ends the process if memory runs out in it."""
    task = group.create_task(ending_when_exhausted(work), name=name)
    # A task that is cancelled before its first step never awaits it, which Python warns of.
    task.add_done_callback(lambda _: work.close())
    return task


async def ending_when_exhausted(work: Coroutine[None, None, None]) -> None:
    """Do some work, and end the process if memory runs out in it."""
    try:
        await work
    except MemoryError:
        end()


def end_because_of(error: object) -> None:
    """End the process if an error is that memory ran out."""
    if isinstance(error, MemoryError):
        end()


def end() -> NoReturn:
    """End the process at once, having said why if there is memory for that."""
    try:
        log.critical(
            "out_of_memory",
            advice="nothing acknowledged is lost, and a new start goes on; give the daemon more"
            " memory, or lower storage.queue_bytes, storage.queue_rows or registry.max_series",
        )
    finally:
        os._exit(EXIT_STATUS)
