"""Reads from paho's socket in the event loop, in one synchronous pass, unless held back.

paho has no backpressure, and aiomqtt's bounded queue drops messages after acknowledging them: so
holding back means to leave the socket alone, and TCP holds the broker back then. QoS 1 has the
broker's window besides; of QoS 0 there would be no bound without this.
"""

import asyncio
from collections.abc import Callable

from paho.mqtt.client import Client

from penstock.mqtt.paho_inbox import PahoInbox

_PACKETS_AT_ONCE = 200
"""Read in one go before the event loop does anything else."""


class PahoReading:
    """The reading side of one connection; `done` is called after each pass, with what was wrong."""

    def __init__(
        self, client: Client, inbox: PahoInbox, done: Callable[[Exception | None], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._client = client
        self._inbox = inbox
        self._done = done
        self._may_stop = False
        self.paused = False

    def watch(self) -> None:
        """Read whenever the socket has something, or no more while paused."""
        sock = self._client.socket()
        if sock is None or sock.fileno() < 0:
            return
        if self.paused and self._may_stop:
            self._loop.remove_reader(sock.fileno())
        else:
            self._loop.add_reader(sock.fileno(), self._pass)

    def may_stop(self) -> None:
        """Note that nothing needs to be read any more while paused; until then all of it is."""
        self._may_stop = True
        self.watch()

    def pause(self) -> None:
        """Leave the socket alone, as soon as that may be."""
        self.paused = True
        self.watch()

    def resume(self) -> None:
        """Go on, beginning in the event loop's next round."""
        self.paused = False
        self._loop.call_soon(self._pass)
        self.watch()

    def _pass(self) -> None:
        fault = None
        try:
            self._read()
        except Exception as error:  # noqa: BLE001 - paho raises anything over malformed packets
            fault = error
        self._done(fault)

    def _read(self) -> None:
        """Read packets until the socket has no more, but not for too long."""
        for _ in range(_PACKETS_AT_ONCE):
            count = len(self._inbox)
            self._client.loop_read()
            if len(self._inbox) == count and not self._has_decrypted():
                return

    def _has_decrypted(self) -> bool:
        """Whether TLS holds bytes that the event loop cannot see in the socket."""
        pending = getattr(self._client.socket(), "pending", None)
        return pending is not None and pending() > 0
