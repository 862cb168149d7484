"""Subscribes through a paho client, and takes the broker's answers."""

from collections.abc import Sequence

from paho.mqtt.client import Client
from paho.mqtt.subscribeoptions import SubscribeOptions

from penstock.mqtt.subscriptions import Subscribed, Subscriptions
from penstock.mqtt.wire import MalformedPacketError
from penstock.settings.tree import Mqtt

_RETAIN_HANDLING = {
    "never": SubscribeOptions.RETAIN_DO_NOT_SEND,
    "new": SubscribeOptions.RETAIN_SEND_IF_NEW_SUB,
    "always": SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE,
}


class PahoSubscribing:
    """The filters of one connection."""

    def __init__(self, client: Client, settings: Mqtt, filters: Sequence[str]) -> None:
        self._client = client
        self._settings = settings
        self._subscriptions = Subscriptions(settings, filters)
        self._news = False

    def begin(self) -> None:
        """Subscribe, now that the broker has accepted the connection."""
        self._ask(self._subscriptions.first())

    def check(self, now_seconds: float) -> None:
        """Ask again for refused filters, when it is time."""
        self._ask(self._subscriptions.again(now_seconds))

    def answered(self, packet_id: int, codes: Sequence[int]) -> None:
        """Take a SUBACK; one that answers no SUBSCRIBE of ours is a `MalformedPacketError`."""
        if not self._subscriptions.answered(packet_id, codes):
            raise MalformedPacketError("a SUBACK that answers no SUBSCRIBE")
        self._news = True

    def take_outcome(self) -> Subscribed | None:
        """What the broker granted; `None` while an answer is due, or nothing is new."""
        if not self._news:
            return None
        self._news = False
        return self._subscriptions.outcome()

    def _ask(self, patterns: Sequence[str]) -> None:
        if not patterns:
            return
        qos, handling = int(self._settings.qos), _RETAIN_HANDLING[self._settings.retained]
        if self._settings.protocol == "5":
            options = SubscribeOptions(qos=qos, retainHandling=handling)
            _, packet_id = self._client.subscribe([(pattern, options) for pattern in patterns])
        else:
            _, packet_id = self._client.subscribe([(pattern, qos) for pattern in patterns])
        if packet_id is not None:  # it is when the connection has just ended
            self._subscriptions.asked(packet_id, patterns)
