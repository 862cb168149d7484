"""A peer: aiomqtt and asyncpg as most people put them together.

Every message is inserted on its own, through a pool, before the next one is looked at. The client
comes back when the broker was away, as aiomqtt's documentation shows it. When the database refuses
a message, that is logged, and the script goes on with the next one.
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
RECONNECT_SECONDS = 1.0
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

log = logging.getLogger(__name__)


async def main() -> None:
    """Store messages until the process is ended."""
    async with asyncpg.create_pool(os.environ["PEER_DSN"]) as pool:
        while True:
            try:
                await consume(pool)
            except aiomqtt.MqttError:
                log.exception("the broker is away")
                await asyncio.sleep(RECONNECT_SECONDS)


async def consume(pool: asyncpg.Pool) -> None:
    """Store messages for as long as the connection lasts."""
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
                await store(pool, message)
            except Exception:
                log.exception("a message on %s was not stored", message.topic)


async def store(pool: asyncpg.Pool, message: aiomqtt.Message) -> None:
    """Insert the readings of a message, all in one transaction."""
    _, tenant, device, _ = str(message.topic).split("/")
    assert isinstance(message.payload, bytes)
    payload = json.loads(message.payload)
    ts = EPOCH + timedelta(microseconds=payload["ts"])
    rows = [(tenant, device, metric, ts, value) for metric, value in payload["metrics"].items()]
    await pool.executemany(INSERT, rows)


if __name__ == "__main__":
    asyncio.run(main())
