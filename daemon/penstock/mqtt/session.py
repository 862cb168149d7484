"""One MQTT 5 connection as a sans-IO state machine: bytes in; messages, events and bytes out.

It knows neither sockets nor clocks: time is passed in, in seconds of a clock that never goes back.
An object lives as long as one network connection; the session itself lives in the broker.

What always holds:

* Messages come out in the order received, those of every QoS alike. None comes out before the
  broker's CONNACK, while paused, or once closed.
* Nothing is acknowledged that the caller did not tell to.
* A PUBLISH that is malformed in its text alone is handed on, for whoever is above to refuse:
  closing the connection over it would only bring it back. Every other malformed packet closes it.
* No bytes received raise an exception.

Two faults of a PUBLISH are not looked for in the loop over packets, where looking costs each
message 3 % of what parsing it does. A packet identifier of 0 (MQTT 5 §2.2.1) ends the connection
when it is to be acknowledged. A topic alias, which we never allow (§3.3.2.3.4), ends nothing: a
message that has no topic besides is handed on without one, for whoever is above to refuse.
"""

from collections.abc import Callable, Sequence
from typing import Any

import mqtt5

from penstock.model import Message
from penstock.mqtt import handshake, refusals, wire
from penstock.mqtt.acknowledging import Acknowledging
from penstock.mqtt.chunks import Chunks
from penstock.mqtt.connection import Closed, Connected, Event
from penstock.mqtt.keepalive import Keepalive
from penstock.mqtt.refusals import Refusal
from penstock.mqtt.subscribing import Subscribing
from penstock.settings.tree import Mqtt

_HANDED_ON = frozenset((0x30, 0x31, 0x32, 0x33, 0x3A, 0x3B))
"""First bytes of a PUBLISH of QoS 0 or 1, which the hot loop takes without looking further.

That byte tells a packet's type, which is faster than looking at the object.
"""

_PINGREQ = mqtt5.PingReqPacket().write()

_Read = Callable[[memoryview], tuple[Any, int]]


class Session:
    """The protocol of one connection to one broker.

    A payload longer than `largest_payload_bytes` is cut there as it streams in.
    """

    def __init__(
        self,
        settings: Mqtt,
        filters: Sequence[str],
        now_seconds: float,
        *,
        largest_payload_bytes: int = wire.LARGEST_REMAINING_BYTES,
    ) -> None:
        self._settings = settings
        self._keepalive = Keepalive(settings.keepalive_seconds, now_seconds)
        self._subscribing = Subscribing(settings, filters)
        self._acknowledging = Acknowledging()
        self._chunks = Chunks(largest_payload_bytes)
        self._read: _Read = mqtt5.read
        self._connected = False
        self._closed = False
        self._paused = False
        self._held: list[bytes] = []
        self._output: list[bytes] = [handshake.connect(settings)]
        self._events: list[Event] = []
        self._pings_sent = 0

    @property
    def closed(self) -> bool:
        """Whether the network connection has to be closed, once the output is sent."""
        return self._closed

    @property
    def pings_sent(self) -> int:
        """PINGREQ packets so far."""
        return self._pings_sent

    @property
    def check_interval_seconds(self) -> float:
        """How often `check` has to be called."""
        return self._keepalive.check_interval_seconds

    def receive(self, data: bytes) -> Sequence[Message]:
        """The messages in what was received, in order; other packets become events and output."""
        if self._closed:
            return ()
        self._keepalive.heard()
        if self._connected:
            return self._received(data)
        try:
            rest = self._accepted(data)
        except wire.MalformedPacketError as error:
            self._close(refusals.malformed(str(error)))
            return ()
        return self._received(rest) if rest else ()

    def acknowledge(self, packet_ids: Sequence[int]) -> None:
        """Send an acknowledgement of each packet, in this order."""
        if self._closed or not packet_ids:
            return
        try:
            self._output.append(self._acknowledging.packets(packet_ids))
        except wire.MalformedPacketError as error:
            self.acknowledge(packet_ids[: packet_ids.index(0)])
            self._leave(mqtt5.DisconnectReasonCode.PROTOCOL_ERROR, str(error))

    def pause(self) -> None:
        """Hand on no message until `resume`; what is still received is held as it came."""
        self._paused = True

    def resume(self, now_seconds: float) -> Sequence[Message]:
        """Go on after `pause`: the messages that were held."""
        self._paused = False
        self._keepalive.resumed(now_seconds)
        held = b"".join(self._held)
        self._held.clear()
        return self.receive(held) if held else ()

    def check(self, now_seconds: float) -> None:
        """Do what is due by time: ping, leave a dead broker, ask again for refused filters."""
        if self._closed or not self._connected:
            return
        due = self._keepalive.check(now_seconds, paused=self._paused)
        if due == "dead":
            self._close(refusals.unanswered(self._keepalive.seconds))
            return
        if due == "ping":
            self._pings_sent += 1
            self._output.append(_PINGREQ)
        self._output += self._subscribing.again(now_seconds)

    def disconnect(self) -> None:
        """End the connection normally; the broker keeps the session (MQTT 5 §3.14)."""
        if not self._closed:
            self._closed = True
            self._output.append(mqtt5.DisconnectPacket().write())

    def take_events(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def take_output(self, now_seconds: float) -> bytes:
        """The bytes to send; they count as sent now."""
        if not self._output:
            return b""
        data = b"".join(self._output)
        self._output.clear()
        self._keepalive.sent(now_seconds)
        return data

    def _accepted(self, data: bytes) -> bytes:
        """Take the broker's answer to CONNECT, once it is whole; returns what follows it."""
        whole = self._chunks.joined(data)
        answer = handshake.answer(whole) if whole else None
        if whole and answer is None:
            self._chunks.keep(whole)
        if not whole or answer is None:
            return b""
        verdict, size = answer
        if isinstance(verdict, Refusal):
            self._close(verdict)
            return b""
        self._connected = True
        self._keepalive.agreed(verdict.server_keep_alive or self._settings.keepalive_seconds)
        self._events.append(Connected(verdict.session_present, self._keepalive.seconds))
        self._output += self._subscribing.begin(verdict)
        self._report_subscriptions()
        return whole[size:]

    def _received(self, data: bytes) -> Sequence[Message]:
        if self._paused:
            self._held.append(data)
            return ()
        whole = self._chunks.joined(data)
        return self._parse(whole) if whole else ()

    def _parse(self, data: bytes) -> list[Message]:
        """Take every whole packet out of `data`, and keep the rest for later.

        This is where the time goes that a message takes before it is decoded: measure before adding
        anything to the loop.
        """
        messages: list[Message] = []
        append = messages.append
        read = self._read
        handed_on = _HANDED_ON
        view = memoryview(data)
        position, end = 0, len(data)
        while position < end:
            try:
                packet, size = read(view[position:])
            except IndexError:
                self._keep(data[position:])
                break
            except BaseException as error:
                if not wire.is_codec_verdict(error):
                    raise
                size = self._salvage(view[position:], error, messages)
                read = self._read
            else:
                if data[position] in handed_on:
                    append(packet)
                    position += size
                    continue
                self._control(packet, messages)
            if self._closed:
                break
            position += size
        return messages

    def _keep(self, rest: bytes) -> None:
        try:
            self._chunks.keep(rest)
        except wire.MalformedPacketError as error:
            self._leave(mqtt5.DisconnectReasonCode.MALFORMED_PACKET, str(error))

    def _salvage(self, view: memoryview, error: BaseException, messages: list[Message]) -> int:
        """Take the message out of a PUBLISH that the codec refused; returns the packet's length.

        From here on the packets of this connection are looked at before the codec sees them: text
        that is not UTF-8 makes it panic, which costs a hundred times the work and a page on stderr.
        """
        self._read = wire.read_warily
        packet = wire.whole_publish(view)
        message = wire.salvage(packet) if packet else None
        if packet is None or message is None:
            self._leave(mqtt5.DisconnectReasonCode.MALFORMED_PACKET, str(error))
            return 0
        if message.packet_id is not None and wire.is_exactly_once(packet):
            self._acknowledging.add_exactly_once(message.packet_id)
        messages.append(message)
        return len(packet)

    def _control(self, packet: mqtt5.Packet, messages: list[Message]) -> None:
        """Take a packet that is not a PUBLISH of QoS 0 or 1."""
        match packet:
            case mqtt5.PingRespPacket():
                pass
            case mqtt5.SubAckPacket() if self._subscribing.answered(packet):
                self._report_subscriptions()
            case mqtt5.DisconnectPacket():
                code, said = int(packet.reason_code), packet.reason_str
                self._close(refusals.refusal(code, said, packet.server_reference))
            case mqtt5.PublishPacket(packet_id=int(packet_id)):
                self._acknowledging.add_exactly_once(packet_id)
                messages.append(packet)
            case mqtt5.PubRelPacket():
                self._output.append(self._acknowledging.released(packet))
            case _:
                name = type(packet).__name__
                self._leave(mqtt5.DisconnectReasonCode.PROTOCOL_ERROR, f"an unexpected {name}")

    def _report_subscriptions(self) -> None:
        outcome = self._subscribing.outcome()
        if outcome is not None:
            self._events.append(outcome)

    def _leave(self, code: mqtt5.DisconnectReasonCode, what: str) -> None:
        """Close the connection because of what the broker sent (MQTT 5 §4.13)."""
        self._output.append(mqtt5.DisconnectPacket(reason_code=code).write())
        self._close(refusals.malformed(what))

    def _close(self, refusal: Refusal) -> None:
        self._closed = True
        self._events.append(Closed(refusal))
