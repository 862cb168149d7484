"""A peer: aiomqtt and asyncpg with more care than most people take.

One task receives, another inserts what has come meanwhile, up to a thousand messages in one
transaction, and tries again until the database has taken it. So a restart of the database loses
nothing. What it holds in memory is acknowledged all the same, as soon as it was received, because
aiomqtt does that by itself, and is lost when the process ends.
"""

import asyncio
import json
import logging
import os
from datetime import UTC, datetime, timedelta

import aiomqtt
import asyncpg

INSERT = """
insert into sensor_readings (tenant, device, metric, ts, value) values ($1, $2, $3, $4, $5)
on conflict do nothing
"""
MOST_MESSAGES = 1_000
RETRY_SECONDS = 1.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Row = tuple[str, str, str, datetime, float]

log = logging.getLogger(__name__)


async def main() -> None:
    """Store messages until the process is ended."""
    received: asyncio.Queue[list[Row]] = asyncio.Queue()
    async with asyncpg.create_pool(os.environ["PEER_DSN"]) as pool, asyncio.TaskGroup() as tasks:
        tasks.create_task(receive(received))
        tasks.create_task(write(pool, received))


async def receive(received: asyncio.Queue[list[Row]]) -> None:
    """Take messages, over as many connections as it takes."""
    while True:
        try:
            await consume(received)
        except aiomqtt.MqttError:
            log.exception("the broker is away")
            await asyncio.sleep(RETRY_SECONDS)


async def consume(received: asyncio.Queue[list[Row]]) -> None:
    """Take messages for as long as the connection lasts."""
    client = aiomqtt.Client(
        os.environ["PEER_MQTT_HOST"],
        int(os.environ["PEER_MQTT_PORT"]),
        identifier=os.environ["PEER_CLIENT_ID"],
        clean_session=False,
    )
    async with client:
        await client.subscribe("devices/+/+/telemetry", qos=1)
        async for message in client.messages:
            try:
                received.put_nowait(rows_of(message))
            except ValueError:
                log.exception("a message on %s makes no sense", message.topic)


def rows_of(message: aiomqtt.Message) -> list[Row]:
    """The readings of a message."""
    _, tenant, device, _ = str(message.topic).split("/")
    assert isinstance(message.payload, bytes)
    payload = json.loads(message.payload)
    ts = EPOCH + timedelta(microseconds=payload["ts"])
    return [(tenant, device, metric, ts, value) for metric, value in payload["metrics"].items()]


async def write(pool: asyncpg.Pool, received: asyncio.Queue[list[Row]]) -> None:
    """Insert whatever has come, as much as there is at a time."""
    while True:
        rows = await received.get()
        for _ in range(min(received.qsize(), MOST_MESSAGES - 1)):
            rows += received.get_nowait()
        await insert(pool, rows)


async def insert(pool: asyncpg.Pool, rows: list[Row]) -> None:
    """Insert rows, however long it takes the database to come back."""
    while True:
        try:
            await pool.executemany(INSERT, rows)
        except Exception:
            log.exception("the database is away")
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


if __name__ == "__main__":
    asyncio.run(main())
