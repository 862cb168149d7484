"""An intake that remembers what it was given, and runs a source for the length of a context."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

from penstock.clock import SystemClock
from penstock.model import Message
from penstock.mqtt import make_source
from penstock.mqtt.source import Source
from penstock.settings.tree import Mqtt
from tests.support.polling import until


class Received(NamedTuple):
    connection: int
    packet_id: int | None
    topic: str
    payload: bytes


class Recorder:
    """Fulfils `penstock.mqtt.source.Intake`; acknowledges everything at once when told to."""

    def __init__(self, *, acknowledging: bool = False) -> None:
        self.connections: list[int] = []
        self.received: list[Received] = []
        self.source: Source | None = None
        self.acknowledging = acknowledging
        self.on_accept: Callable[[], None] = lambda: None

    def connected(self, connection: int) -> None:
        self.connections.append(connection)

    def accept(self, messages: Sequence[Message]) -> None:
        connection = self.connections[-1]
        self.received += [
            Received(connection, message.packet_id, message.topic, message.payload)
            for message in messages
        ]
        self.on_accept()
        if self.acknowledging:
            self.acknowledge(connection, [message.packet_id for message in messages])

    def acknowledge(self, connection: int, packet_ids: Sequence[int | None]) -> None:
        assert self.source is not None
        ids = [packet_id for packet_id in packet_ids if packet_id is not None]
        if ids:
            self.source.acknowledge(connection, ids)

    def acknowledge_all(self, connection: int) -> None:
        """Acknowledge all that was received on one connection."""
        ids = [one.packet_id for one in self.received if one.connection == connection]
        self.acknowledge(connection, ids)

    def payloads(self, connection: int | None = None) -> list[bytes]:
        """What was received, on one connection or on all."""
        return [one.payload for one in self.received if connection in (None, one.connection)]


@asynccontextmanager
async def running(
    settings: Mqtt,
    filters: Sequence[str],
    recorder: Recorder,
    *,
    subscribed: bool = True,
    paused: bool = False,
) -> AsyncIterator[Source]:
    """Run a source until the end of the context, then stop it; its errors are the test's."""
    source = recorder.source = make_source(settings, filters, recorder, SystemClock())
    if paused:
        source.pause()
    run = asyncio.create_task(source.run())
    try:
        if subscribed:
            await until(lambda: run.done() or source.status.state == "subscribed", "subscribed")
        yield source
        await source.stop()
        await run
    finally:
        run.cancel()
        await asyncio.wait((run,))
    assert source.status.state == "stopped"
