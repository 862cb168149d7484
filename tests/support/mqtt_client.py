"""A bystander at the broker: publishes and counts PUBACKs, through the codec and a plain socket."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import mqtt5

_WINDOW = 200
"""PUBLISH packets sent before their PUBACKs are awaited; brokers queue more than that."""


class MqttClient:
    """One connection; what is sent to it, but for acknowledgements, is dropped."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._received = b""

    async def publish(
        self, messages: Iterable[tuple[str, bytes]], *, qos: int = 1, retain: bool = False
    ) -> None:
        """Publish, and return once the broker has acknowledged all, or taken them at QoS 0."""
        due = 0
        for number, (topic, payload) in enumerate(messages):
            packet = mqtt5.PublishPacket(
                topic,
                payload,
                qos=mqtt5.QoS(qos),
                retain=retain,
                packet_id=number % 65_535 + 1 if qos else None,
            )
            self._writer.write(packet.write())
            due += qos
            if due == _WINDOW:
                await self._acknowledged(due)
                due = 0
            await self._writer.drain()
        await self._acknowledged(due)

    async def read(self) -> mqtt5.Packet | None:
        """The next packet from the broker; None when it closed the connection."""
        while True:
            try:
                packet, size = mqtt5.read(memoryview(self._received))
            except IndexError:
                data = await self._reader.read(65_536)
                if not data:
                    return None
                self._received += data
            else:
                self._received = self._received[size:]
                return packet

    async def _acknowledged(self, count: int) -> None:
        while count:
            packet = await self.read()
            assert packet is not None, "the broker closed the connection"
            count -= isinstance(packet, mqtt5.PubAckPacket)


@asynccontextmanager
async def mqtt_client(
    url: str,
    *,
    client_id: str | None = None,
    username: str | None = None,
    password: bytes | None = None,
) -> AsyncIterator[MqttClient]:
    """Connect as another client and disconnect normally."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port or 1883)
    connect = mqtt5.ConnectPacket(
        client_id or f"bystander-{secrets.token_hex(4)}", username=username, password=password
    )
    writer.write(connect.write())
    client = MqttClient(reader, writer)
    assert isinstance(await client.read(), mqtt5.ConnAckPacket)
    try:
        yield client
        writer.write(mqtt5.DisconnectPacket().write())
    finally:
        writer.close()


async def publish(
    url: str, messages: Iterable[tuple[str, bytes]], *, qos: int = 1, retain: bool = False
) -> None:
    """Publish on a connection of its own; see `MqttClient.publish`."""
    async with mqtt_client(url) as client:
        await client.publish(messages, qos=qos, retain=retain)


async def has_session(url: str, client_id: str) -> bool:
    """Whether the broker keeps a session under a client id; if so, it is ended."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port or 1883)
    try:
        writer.write(mqtt5.ConnectPacket(client_id, clean_start=False).write())
        answer = await MqttClient(reader, writer).read()
    finally:
        writer.close()
    assert isinstance(answer, mqtt5.ConnAckPacket)
    return answer.session_present
