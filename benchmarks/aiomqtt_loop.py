"""A subject: the loop that most people write with aiomqtt, which counts and does nothing else.

`python -m benchmarks.aiomqtt_loop HOST PORT FILTER COUNTER VERSION` subscribes at QoS 1 and keeps
the count of messages in the file COUNTER. VERSION is 5, with the same in-flight window as
Penstock's, or 3.1.1, where the window is the broker's.
"""

import asyncio
import sys
from pathlib import Path

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from benchmarks.progress import open_counter

RECEIVE_MAXIMUM = 20_000


async def count(client: aiomqtt.Client, topic_filter: str, path: Path) -> None:
    """Count messages until the process is ended."""
    counter = open_counter(path)
    async with client:
        await client.subscribe(topic_filter, qos=1)
        async for _ in client.messages:
            counter[0] += 1


def new_client(host: str, port: int, version: str) -> aiomqtt.Client:
    """A client that has not connected."""
    if version == "3.1.1":
        return aiomqtt.Client(host, port)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    return aiomqtt.Client(host, port, protocol=aiomqtt.ProtocolVersion.V5, properties=properties)


async def main() -> None:
    """Read the command line and count."""
    _, host, port, topic_filter, path, version = sys.argv
    await count(new_client(host, int(port), version), topic_filter, Path(path))


if __name__ == "__main__":
    asyncio.run(main())
