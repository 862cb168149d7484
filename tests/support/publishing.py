"""Publishes and queries the way a bystander would: with paho, and with plain SQL."""

import asyncio
import subprocess
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from paho.mqtt import publish as paho_publish
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion


def publish(
    mqtt_url: str,
    messages: Iterable[tuple[str, bytes | str]],
    *,
    qos: int = 1,
    retain: bool = False,
) -> None:
    """Publish (topic, payload) pairs and return once the broker has acknowledged all."""
    url = urlsplit(mqtt_url)
    paho_publish.multiple(
        [(topic, payload, qos, retain) for topic, payload in messages],
        hostname=url.hostname or "127.0.0.1",
        port=url.port or 1883,
        protocol=MQTTProtocolVersion.MQTTv5,
    )


def until_published(mqtt_url: str, topics: str, *, within_seconds: float = 60.0) -> None:
    """Wait until somebody publishes something that the filter `topics` matches."""
    url = urlsplit(mqtt_url)
    published = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)

    def subscribe(*_: object) -> None:
        client.subscribe(topics)

    client.on_connect = subscribe
    client.on_message = lambda *_: published.set()
    client.connect(url.hostname or "127.0.0.1", url.port or 1883)
    client.loop_start()
    try:
        assert published.wait(within_seconds), f"nothing was published to {topics}"
    finally:
        client.disconnect()
        client.loop_stop()


def rows_of(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows that a query yields."""

    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


@contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    """Lock a table against everybody else for the length of the context."""
    with subprocess.Popen(
        ["psql", "-qAt", dsn], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write(f"begin; lock table {table}; select 'locked';\n")
        psql.stdin.flush()
        assert psql.stdout.readline() == "locked\n"
        try:
            yield
        finally:
            psql.stdin.close()
