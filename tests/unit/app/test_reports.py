"""What asyncio reports: a driver's leftovers are no news, everything else is."""

import asyncio
from typing import Any

import asyncpg
import pytest

from penstock.app.process import _is_driver_leftover

LOST = asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


@pytest.mark.parametrize("error", [LOST, asyncpg.InterfaceError("connection is closed")])
async def test_a_future_that_the_driver_left_when_its_connection_was_lost_is_no_news(
    error: Exception,
) -> None:
    future = asyncio.get_running_loop().create_future()
    assert _is_driver_leftover({"message": "never retrieved", "exception": error, "future": future})


async def test_the_error_of_a_task_is_news_whatever_it_is() -> None:
    async def work() -> None:
        pass

    task = asyncio.create_task(work())
    await task
    assert not _is_driver_leftover({"message": "", "exception": LOST, "future": task})


@pytest.mark.parametrize("context", [{"message": "m"}, {"exception": ValueError(), "future": None}])
def test_whatever_is_not_of_the_driver_is_news(context: dict[str, Any]) -> None:
    assert not _is_driver_leftover(context)
