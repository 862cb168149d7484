"""Subscribes for a moment as the daemon would, to see what the broker grants and tells.

What always holds: the client id is the doctor's, so the broker gives it copies of its own, and no
message is taken or acknowledged away from the daemon; a shared subscription is in a group of the
doctor's own; nothing is acknowledged or stored; and every wait has a limit.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import msgspec

from penstock.clock import SystemClock
from penstock.model import Message
from penstock.mqtt.compat import CompatSource
from penstock.mqtt.connection import Connected
from penstock.mqtt.factory import make_source
from penstock.mqtt.source import Source, SourceStatus
from penstock.settings.mqtt_url import Endpoint
from penstock.settings.tree import Mqtt

_POLL_SECONDS = 0.02
_STOP_SECONDS = 3.0
_LARGEST_PAYLOAD_BYTES = 1_024
"""Of what is heard only a version and a count are looked at."""

Result = TypeVar("Result")


class Heard(msgspec.Struct, frozen=True):
    """What came of listening."""

    status: SourceStatus
    answered: bool
    """Whether the broker answered for every filter."""
    payloads: dict[str, bytes]
    """The newest payload of each topic that was waited for."""


async def listen(
    settings: Mqtt, filters: Sequence[str], limit_seconds: float, topics: Sequence[str] = ()
) -> Heard:
    """Subscribe until the broker has answered and something came of each of `topics`.

    It ends at the limit at the latest, and at once when there is no session to be had.
    """
    ear = _Ear(topics)
    ear.source = source = make_source(
        settings, filters, ear, SystemClock(), largest_payload_bytes=_LARGEST_PAYLOAD_BYTES
    )

    def is_over() -> bool:
        return source.traffic.connections_ended > 0 or (ear.is_answered and ear.has_all)

    def heard() -> Heard:
        return Heard(source.status, ear.is_answered, ear.payloads)

    return await _run(source, is_over, heard, limit_seconds)


async def finds_a_session(
    settings: Mqtt, endpoint: Endpoint, limit_seconds: float
) -> bool | SourceStatus:
    """Whether the broker gives a client through aiomqtt a session that was there before it.

    Nothing is subscribed to. The session that this makes has no effect, and ends when the same
    client connects with a session expiry of 0. Where there is no session to be had, the state of
    the source says why.
    """
    source = _Newcomer(settings, endpoint, (), _Ear(()), SystemClock(), random.random)

    def is_over() -> bool:
        return source.traffic.connections_ended > 0 or source.found is not None

    def found() -> bool | SourceStatus:
        return source.status if source.found is None else source.found

    return await _run(source, is_over, found, limit_seconds)


async def _run(
    source: Source, is_over: Callable[[], bool], result: Callable[[], Result], limit_seconds: float
) -> Result:
    """The result as it is when it is over, or at the limit; then stop the source."""
    running = asyncio.create_task(source.run(), name="listening")
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                while not is_over() and not running.done():  # noqa: ASYNC110 - sources are polled
                    await asyncio.sleep(_POLL_SECONDS)
        return result()
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await source.stop()
        running.cancel()
        await asyncio.wait((running,), timeout=_STOP_SECONDS)


class _Ear:
    """Fulfils `penstock.mqtt.source.Intake`: keeps a few payloads, acknowledges nothing."""

    source: Source

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = frozenset(topics)
        self._before_answer = ""
        self.payloads: dict[str, bytes] = {}

    @property
    def is_answered(self) -> bool:
        """Whether the broker has answered for every filter."""
        status = self.source.status
        return status.state == "subscribed" or (
            status.state == "connected" and status.detail != self._before_answer
        )

    @property
    def has_all(self) -> bool:
        """Whether something came of every topic, or nothing will."""
        refused = self.source.status.state == "connected"
        return refused or len(self.payloads) == len(self._topics)

    def connected(self, connection: int) -> None:  # noqa: ARG002 - fulfils the protocol
        self._before_answer = self.source.status.detail

    def accept(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.topic in self._topics:
                self.payloads[message.topic] = bytes(message.payload)


class _Newcomer(CompatSource):
    """Notes whether the broker had a session for it already."""

    found: bool | None = None

    def connected(self, event: Connected) -> None:
        self.found = event.session_present
        super().connected(event)
