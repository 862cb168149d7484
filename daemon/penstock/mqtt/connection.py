"""What a source and the connection under it are to each other, whichever of the two kinds it is.

All of it is synchronous. A connection reports first that the broker accepted it; what was granted
and the messages follow as they come.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from penstock.model import Message
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.subscriptions import Subscribed


class Connected(NamedTuple):
    """The broker accepted the connection."""

    session_present: bool
    keepalive_seconds: int


class Closed(NamedTuple):
    """The connection is over: the broker ended it, or has to be left."""

    refusal: Refusal


Event = Connected | Subscribed | Closed


class Receiver(Protocol):
    """What a connection reports to; an error that it raises ends the connection."""

    def connected(self, event: Connected) -> None: ...
    def subscribed(self, event: Subscribed) -> None: ...
    def received(self, size_bytes: int, messages: Sequence[Message]) -> None: ...


class Connection(Protocol):
    """One connection to the broker, from before it is opened until after it is closed."""

    @property
    def over(self) -> bool:
        """Whether nothing can be sent: not yet, or no more."""
        ...

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send acknowledgements in this order."""
        ...

    def pause(self) -> None:
        """Hand on nothing more, and read nothing more once the broker has answered."""
        ...

    def resume(self) -> None:
        """Go on, beginning in the event loop's next round: never within the caller's work."""
        ...

    def leave(self) -> None:
        """Disconnect normally, after what is still to be sent."""
        ...

    def abort(self) -> None:
        """Close the socket at once."""
        ...
