"""A process that has run out of memory ends, whatever else is under way in it."""

import asyncio
import gc
import subprocess
import sys

from penstock.app.exhaustion import EXIT_STATUS, start

EXHAUSTED = """
import asyncio, structlog
from penstock.app.exhaustion import ending_when_exhausted

async def hold_on():
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.sleep(3600)

async def fail():
    raise MemoryError

async def main():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold_on())
        tasks.create_task(ending_when_exhausted(fail()))

{before}
asyncio.run(main())
"""

FLOODED = """
import asyncio
from types import SimpleNamespace
from penstock.app.flow import Flow
from penstock.clock import SystemClock
from penstock.observability.metrics import Metrics
from penstock.settings.tree import Route, Settings

async def main():
    clock = SystemClock()
    settings = Settings(routes=[Route(topic="{tenant}/{device}")])
    flow = Flow(settings, None, None, lambda *_: True, Metrics(clock), clock)
    def exhausted(_):
        raise MemoryError
    flow.topics.resolve = exhausted
    try:
        flow.accept([SimpleNamespace(topic="t/d", payload=b"{}", packet_id=1)])
    except MemoryError:
        print("the source hangs up in good order, while timers go on")

asyncio.run(main())
"""


def test_it_ends_without_waiting_for_anything_and_says_why() -> None:
    status, output = _run(EXHAUSTED.format(before=""))
    assert status == EXIT_STATUS
    assert "out_of_memory" in output


def test_it_ends_even_if_there_is_no_memory_to_say_why() -> None:
    fail_to_log = """
def exhausted(*_):
    raise MemoryError
structlog.configure(processors=[exhausted])
"""
    assert _run(EXHAUSTED.format(before=fail_to_log)) == (EXIT_STATUS, "")


def test_nothing_is_done_any_more_with_a_message_that_was_too_much() -> None:
    status, output = _run(FLOODED)
    assert status == EXIT_STATUS
    assert "out_of_memory" in output


async def test_a_stage_that_is_cancelled_before_it_began_leaves_no_warning() -> None:
    async with asyncio.TaskGroup() as tasks:
        start(tasks, asyncio.sleep(3600), "stage").cancel()
    gc.collect()


def _run(program: str) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    return ended.returncode, ended.stdout + ended.stderr
