"""Listens beside the daemon and prints what it hears.

What always holds: the session with the broker is seen to be another than the daemon's before
anything is subscribed to, and from then on ends with the connection; nothing is acknowledged; and
the socket is read whatever the output does, because a broker keeps what a slow client does not
take.
"""

import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence

import msgspec

from penstock.cli.interpretation import Interpretation, Interpreter, Reading
from penstock.cli.line_printer import LinePrinter
from penstock.cli.output import printable, remark, rfc3339
from penstock.cli.own_session import until_session_is_own
from penstock.cli.wanted import Wanted
from penstock.clock import SystemClock
from penstock.errors import ConfigError, Rejected
from penstock.model import GOOD_QUALITY, Message
from penstock.mqtt import make_source
from penstock.settings.tree import Mqtt, Settings


class Tapping:
    """One run of `penstock tap`; fulfils `penstock.mqtt.source.Intake`."""

    def __init__(
        self,
        settings: Settings,
        wanted: Wanted,
        suffix: str,
        *,
        as_json: bool,
        max_readings: int | None,
    ) -> None:
        filters = wanted.filters(settings.routes)
        if not filters:
            raise ConfigError("no route can bring readings of this tenant and device")
        self._interpreter = Interpreter(settings)
        self._wanted = wanted
        self._line = _as_json if as_json else _as_text
        self._readings_left = max_readings
        self._clock = SystemClock()
        self._access = tap_access(settings.mqtt, suffix)
        self._source = make_source(
            tap_session(self._access),
            filters,
            self,
            self._clock,
            largest_payload_bytes=settings.limits.payload_bytes + 1,
        )
        self._refused_messages = 0
        self._end = asyncio.Event()

    async def run(self) -> None:
        """Print until there is enough, nobody reads any more, or SIGINT or SIGTERM.

        Errors: `FatalError` when the broker will never let us in.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._end.set)
        self._printer = LinePrinter(
            sys.stdout.fileno(), lambda: loop.call_soon_threadsafe(self._end.set)
        )
        await self._until_the_end()
        self._printer.close()
        self._take_leave()

    async def _until_the_end(self) -> None:
        end = asyncio.create_task(self._end.wait(), name="end")
        caution = asyncio.create_task(until_session_is_own(self._access), name="caution")
        await asyncio.wait((caution, end), return_when=asyncio.FIRST_COMPLETED)
        if not caution.done():
            caution.cancel()
            return
        await caution
        source = asyncio.create_task(self._source.run(), name="source")
        await asyncio.wait((source, end), return_when=asyncio.FIRST_COMPLETED)
        end.cancel()
        if not source.done():
            await self._source.stop()
        await source

    def connected(self, connection: int) -> None:
        """Nothing belongs to a connection: there is nothing to acknowledge."""

    def accept(self, messages: Sequence[Message]) -> None:
        received_us = self._clock.now_us()
        self._interpreter.make_room()
        for message in messages:
            try:
                read = self._interpreter.read(message.topic, message.payload, received_us)
            except Rejected:
                self._refused_messages += 1
                continue
            if self._wanted.includes(read.device):
                self._print(read)

    def _print(self, read: Interpretation) -> None:
        for reading in read.readings():
            if self._end.is_set():
                return
            taken = self._printer.offer(self._line(read, reading))
            if taken and self._readings_left is not None:
                self._readings_left -= 1
                if not self._readings_left:
                    self._end.set()

    def _take_leave(self) -> None:
        if self._refused_messages:
            remark(f"messages that are dead letters: {self._refused_messages}")
        if self._printer.left_out:
            remark(f"readings left out, the output being too slow: {self._printer.left_out}")


def tap_access(mqtt: Mqtt, suffix: str) -> Mqtt:
    """The daemon's access to the broker under a client id that nobody ever had."""
    return msgspec.structs.replace(mqtt, client_id=f"penstock-tap-{suffix}")


def tap_session(access: Mqtt) -> Mqtt:
    """A session for listening, which the broker forgets at once."""
    return msgspec.structs.replace(
        access,
        share_group=None,
        qos=0,
        session_expiry_seconds=0,
        retained="never",
    )


def _as_json(read: Interpretation, reading: Reading) -> bytes:
    return msgspec.json.encode(
        {
            "ts": rfc3339(reading.ts_us),
            "tenant": read.device.tenant,
            "device": read.device.device,
            "metric": reading.metric,
            "value": reading.value,
            "quality": reading.quality,
            "unit": reading.unit,
        }
    )


def _as_text(read: Interpretation, reading: Reading) -> bytes:
    return "  ".join(_parts(read, reading)).encode()


def _parts(read: Interpretation, reading: Reading) -> Iterator[str]:
    yield rfc3339(reading.ts_us)
    yield f"{read.device.tenant}/{read.device.device}"
    yield reading.metric
    value = printable(str(reading.value))
    yield f"{value} {printable(reading.unit)}" if reading.unit else value
    if reading.quality not in (None, GOOD_QUALITY):
        yield f"quality {reading.quality}"
