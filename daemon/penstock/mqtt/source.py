"""What a source of messages is to the rest of the daemon.

Two sources exist: the MQTT 5 session on its own uvloop Protocol, and aiomqtt for MQTT 3.1.1 and
WebSocket brokers. Everything above knows this interface alone, and one suite of contract tests runs
against both.

A *connection* is numbered from 1. Packet identifiers mean something only on the connection that
delivered them: after a reconnect the broker sends unacknowledged messages again (MQTT 5 §4.4), so
an acknowledgement that comes too late is dropped rather than sent under a number that may have been
reused.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from penstock.model import Message


class Intake(Protocol):
    """What a source feeds. Both calls are synchronous; what they raise ends the source."""

    def connected(self, connection: int) -> None:
        """A new connection was accepted by the broker; what follows was received on it."""
        ...

    def accept(self, messages: Sequence[Message]) -> None:
        """Take messages in the order received. The source keeps no reference to them."""
        ...


class SourceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What health and metrics show of a source."""

    state: Literal["connecting", "connected", "subscribed", "stopped"]
    connection: int
    """Number of the present connection, or of the last one; 0 before the first."""
    receive_maximum: int
    """In-flight window asked of the broker; 0 where the protocol leaves it to the broker alone."""
    detail: str
    """Why it is not subscribed, in words for an operator; empty when all is well."""


class Traffic(msgspec.Struct):
    """Counts since the start, to be read at any time."""

    messages_received: int = 0
    bytes_received: int = 0
    """Read from the network; through aiomqtt the topics and payloads alone."""
    acknowledgements_sent: int = 0
    pings_sent: int = 0
    """Not counted through aiomqtt."""
    connections_accepted: int = 0
    connections_ended: int = 0
    """Attempts that failed included; `stop` not."""
    sessions_lost: int = 0
    """Reconnects on which the broker no longer had our session, though it was to keep it."""


class Source(Protocol):
    """A broker's messages, delivered to an `Intake`, acknowledged when told to."""

    @property
    def status(self) -> SourceStatus: ...
    @property
    def traffic(self) -> Traffic: ...

    async def run(self) -> None:
        """Connect, subscribe and deliver, reconnecting with backoff, until `stop` is called.

        No refusal of the broker ends it: what is refused now may be allowed later, and `status`
        says why it waits. An error of the intake ends it, and is raised: what was handed over is
        not acknowledged, so nothing is lost. Cancelling it closes the socket at once.
        """
        ...

    def acknowledge(self, connection: int, packet_ids: Sequence[int]) -> None:
        """Send a PUBACK for each packet, in this order.

        Does nothing for another than the present connection.
        """
        ...

    def pause(self) -> None:
        """Hand on no more messages, so that TCP holds the broker back; keepalive goes on.

        May be called from within `Intake.accept`, whose messages are handed over already.
        """
        ...

    def resume(self) -> None:
        """Go on after `pause`, in the event loop's next round: never within the caller's work."""
        ...

    async def stop(self) -> None:
        """Send what was acknowledged, disconnect normally, end `run`.

        The session stays in the broker.
        """
        ...
