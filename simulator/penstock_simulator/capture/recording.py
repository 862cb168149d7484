"""Records what a broker publishes, through the daemon's own session with it.

What always holds: a message of QoS 1 is acknowledged only when the operating system has it in the
file, so none is lost that the broker delivers, but one can be recorded twice after a connection was
lost; nothing waits in memory for the disk, for a slow disk slows the reading; the file is whole
however the recording ends, short of SIGKILL, after which it is whole up to some point; and short of
that, or of a broker that is away just then, the broker is left without the session.
"""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from penstock.cli.own_session import session_refusal
from penstock.clock import SystemClock
from penstock.errors import FatalError
from penstock.model import Message
from penstock.mqtt import make_source
from penstock.settings.tree import Mqtt
from penstock_simulator.capture.forgetting import forget
from penstock_simulator.capture.message import Header, captured
from penstock_simulator.capture.writing import CaptureWriter

_FLUSH_SECONDS = 0.01
"""A broker of MQTT 3.1.1 has few messages under way at a time: each has to wait so long."""
_FLUSH_BYTES = 262_144
_TELL_SECONDS = 2.0
_POLL_SECONDS = 0.02


class RecordError(Exception):
    """The broker gave no session to record; the text says why."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording came to."""

    messages: int
    payload_bytes: int
    file_bytes: int
    seconds: float
    """From the broker's first answer on."""
    connections_lost: int
    sessions_lost: int
    """Of these, those after which the broker had nothing kept of what came meanwhile."""


class Recorder:
    """One recording; fulfils `penstock.mqtt.source.Intake`.

    Args:
        session: the session to record with.
        filters: what to subscribe to.
        path: the file, which must not be there yet.
        most_messages: how many to record; None for no limit.
        seconds: how long to record, from the broker's answer to the subscription on; None likewise.

    Raises:
        ConfigError: the broker's URL or a TLS file cannot be used.
        OSError: the file is there already, or cannot be written.
    """

    def __init__(
        self,
        session: Mqtt,
        filters: Sequence[str],
        path: Path,
        *,
        most_messages: int | None = None,
        seconds: float | None = None,
    ) -> None:
        self._filters = list(filters)
        self._session = session
        self._source = make_source(session, self._filters, self, SystemClock())
        self._path = path
        self._most_messages = most_messages
        self._seconds = seconds
        self._writer = CaptureWriter(path)
        self._began_ns: int | None = None
        self._connection = 0
        self._packet_ids: list[int] = []
        self._flush_timer: asyncio.TimerHandle | None = None
        self._messages = self._payload_bytes = 0
        self._before_answer = ""
        self._subscribed = self._refused = False
        self._failure: OSError | None = None
        self._end = asyncio.Event()

    async def run(self, tell: Callable[[str], None]) -> Recorded:
        """Record until there is enough, or SIGINT or SIGTERM; `tell` is told how it goes.

        Raises:
            RecordError: there is no session to be had, a filter was refused, or it was ended before
                the broker had answered.
            OSError: the file could not be written; what is in it is readable.
        """
        try:
            return await self._record(tell)
        finally:
            if self._began_ns is not None and not await forget(self._session):
                client_id = self._session.client_id
                tell(f"The broker was away, and may still keep the session of {client_id}.")

    def connected(self, connection: int) -> None:
        """Note a new connection; what the one before did not acknowledge comes again on it."""
        self._connection = connection
        self._before_answer = self._source.status.detail
        self._packet_ids.clear()
        if self._began_ns is None:
            self._began_ns = time.monotonic_ns()
            began_at = datetime.now(UTC).isoformat(timespec="microseconds")
            self._writer.begin(Header(began_at=began_at, filters=self._filters))

    def accept(self, messages: Sequence[Message]) -> None:
        """Take messages as far as they are wanted; all of them have the same time."""
        if self._end.is_set():
            return
        assert self._began_ns is not None
        at_us = (time.monotonic_ns() - self._began_ns) // 1_000
        if self._most_messages is not None:
            messages = messages[: self._most_messages - self._messages]
        self._writer.add([captured(message, at_us) for message in messages])
        self._packet_ids += [m.packet_id for m in messages if m.packet_id is not None]
        self._messages += len(messages)
        self._payload_bytes += sum(len(message.payload) for message in messages)
        if self._messages == self._most_messages:
            self._end.set()
        elif self._writer.pending_bytes >= _FLUSH_BYTES:
            self._flush()
        elif self._flush_timer is None:
            self._flush_timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self._flush)

    async def _record(self, tell: Callable[[str], None]) -> Recorded:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end.set)
        source = asyncio.create_task(self._run_source(), name="source")
        beside = [
            asyncio.create_task(self._until_the_end(), name="end"),
            asyncio.create_task(self._tell(tell), name="tell"),
        ]
        try:
            done, _ = await asyncio.wait((source, beside[0]), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            self._end.set()
            self._flush()
            if self._began_ns is not None:
                await self._source.stop()
                await source
            if self._failure is not None:
                raise self._failure
        finally:
            for task in (source, *beside):
                task.cancel()
            await asyncio.gather(source, *beside, return_exceptions=True)
            self._close()
        return self._recorded()

    async def _run_source(self) -> None:
        """Connect, unless the broker would give us somebody's session, which we would end."""
        try:
            refusal = await session_refusal(self._session)
        except FatalError as error:
            raise RecordError(str(error)) from error
        if refusal is not None:
            raise RecordError(refusal)
        await self._source.run()

    def _flush(self) -> None:
        """Have everything in the file, then acknowledge it."""
        if self._failure is not None:
            return
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        try:
            self._writer.flush()
        except OSError as error:
            self._failure = error
            self._end.set()
            return
        packet_ids, self._packet_ids = self._packet_ids, []
        self._source.acknowledge(self._connection, packet_ids)

    async def _until_the_end(self) -> None:
        deadline: float | None = None
        while not self._end.is_set():
            status, traffic = self._source.status, self._source.traffic
            self._subscribed = self._subscribed or status.state == "subscribed"
            if not self._subscribed and status.state == "connected":
                self._refused = status.detail != self._before_answer
            if self._refused:
                raise RecordError(status.detail)
            if traffic.connections_ended and not (self._subscribed or self._messages):
                raise RecordError(status.detail)
            if deadline is None and self._seconds and self._subscribed:
                deadline = time.monotonic() + self._seconds
            if deadline is not None and time.monotonic() >= deadline:
                return
            await asyncio.sleep(_POLL_SECONDS)

    async def _tell(self, tell: Callable[[str], None]) -> None:
        before = 0
        while True:
            await asyncio.sleep(_TELL_SECONDS)
            rate = (self._messages - before) / _TELL_SECONDS
            tell(
                f"{self._messages:,} messages recorded, {rate:,.0f}/s,"
                f" {self._writer.file_bytes:,} bytes"
            )
            before = self._messages

    def _close(self) -> None:
        self._writer.close()
        if not self._kept:
            self._path.unlink()

    @property
    def _kept(self) -> bool:
        """Whether there is anything that the file is worth."""
        return not self._refused and (self._subscribed or self._messages > 0)

    def _recorded(self) -> Recorded:
        if self._began_ns is None or not self._kept:
            raise RecordError("it was ended before the broker had answered")
        return Recorded(
            messages=self._messages,
            payload_bytes=self._payload_bytes,
            file_bytes=self._writer.file_bytes,
            seconds=(time.monotonic_ns() - self._began_ns) / 1e9,
            connections_lost=max(0, self._source.traffic.connections_accepted - 1),
            sessions_lost=self._source.traffic.sessions_lost,
        )
