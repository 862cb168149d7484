"""A connection is left alone from the moment that it is closed, by whichever side."""

import asyncio
import time

import mqtt5
import numpy as np
import pytest
import uvloop

from penstock_simulator.connection import Connection, Login
from penstock_simulator.fleet import Fleet
from penstock_simulator.lane import Lane

FLEET = Fleet(seed=1, start_us=10**15, step_us=1_000, lanes=1)


async def acknowledge_the_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1_000)
    writer.write(mqtt5.ConnAckPacket().write())
    await reader.read(1_000)
    writer.write(mqtt5.PubAckPacket(1).write())
    await writer.drain()
    await reader.read()
    writer.close()


async def close_while_it_listens_not(*, wait_for_the_end: bool) -> list[int]:
    """What it counts, having been used as if it were open after it was closed."""
    counted: list[int] = []
    deaf: list[Connection] = []
    woken = asyncio.Event()
    lane = Lane.of(FLEET, 0)
    connection = Connection(lane, Login("c"), count=counted.append, wake=woken.set, deaf=deaf)
    async with await asyncio.start_server(acknowledge_the_first, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, "127.0.0.1", port)
        await woken.wait()
        assert connection.pump(2, time.time_ns() // 1_000)
        while not deaf:
            woken.clear()
            await asyncio.wait_for(woken.wait(), 30)
        connection.abort()
        if wait_for_the_end:
            await connection.done
        connection.listen()
        connection.ping()
        connection.close()
        connection.abort()
        assert not connection.pump(1, 0)
        await connection.done
    assert np.flatnonzero(lane.ledger.outcome).tolist() == [0]
    assert (lane.sent, lane.waiting) == (2, 1)
    return counted


@pytest.mark.parametrize("wait_for_the_end", [False, True])
def test_a_closed_connection_takes_nothing_and_is_counted_out_once(
    wait_for_the_end: bool,
) -> None:
    counted = uvloop.run(close_while_it_listens_not(wait_for_the_end=wait_for_the_end))
    assert counted == [1, -1]
