"""A subject: the loop that most people write with aiomqtt, which counts and does nothing else.

`python -m benchmarks.aiomqtt_loop HOST PORT FILTER COUNTER` subscribes at QoS 1, with the same
in-flight window as Penstock, and keeps the count of messages in the file COUNTER.
"""

import asyncio
import sys
from pathlib import Path

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.progress import open_counter

RECEIVE_MAXIMUM = 20_000


async def count(host: str, port: int, topic_filter: str, path: Path) -> None:
    """Count messages until the process is ended."""
    counter = open_counter(path)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    async with aiomqtt.Client(
        host, port, protocol=aiomqtt.ProtocolVersion.V5, properties=properties
    ) as client:
        await client.subscribe(topic_filter, qos=1)
        async for _ in client.messages:
            counter[0] += 1


if __name__ == "__main__":
    _, host, port, topic_filter, path = sys.argv
    asyncio.run(count(host, int(port), topic_filter, Path(path)))
