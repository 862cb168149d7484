import itertools

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.model import Message
from penstock.mqtt.connection import Closed, Connected, Event
from penstock.mqtt.session import Session
from penstock.mqtt.subscriptions import Subscribed
from penstock.settings.secret import Secret
from penstock.settings.tree import Mqtt

# The codec reports text that is not UTF-8 through `sys.unraisablehook` before it panics.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONNACK = mqtt5.ConnAckPacket().write()
PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"
BAD_UTF8_PUBLISH = b"\x32\x09\x00\x03a\xff/\x00\x01\x00x"


def publish(topic: str, payload: bytes = b"1", packet_id: int | None = None, qos: int = 1) -> bytes:
    """One PUBLISH; QoS 0 without an identifier."""
    if packet_id is None:
        return mqtt5.PublishPacket(topic, payload).write()
    return mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS(qos), packet_id=packet_id).write()


def sent(session: Session, now_seconds: float = 0.0) -> list[mqtt5.Packet]:
    data = session.take_output(now_seconds)
    packets = []
    while data:
        packet, size = mqtt5.read(memoryview(data))
        packets.append(packet)
        data = data[size:]
    return packets


def connected(settings: Mqtt | None = None, filters: tuple[str, ...] = ("a/+",)) -> Session:
    """A session that the broker accepted and granted, with its events and output taken."""
    session = Session(settings or Mqtt(), filters, 0.0)
    session.receive(CONNACK)
    session.receive(suback(*(1 for _ in filters)))
    session.take_events()
    session.take_output(0.0)
    return session


def suback(*codes: int, packet_id: int = 1) -> bytes:
    return mqtt5.SubAckPacket(packet_id, [mqtt5.SubAckReasonCode(code) for code in codes]).write()


def seen(message: Message) -> tuple[str, bytes, int | None]:
    return message.topic, message.payload, message.packet_id


class TestConnecting:
    def test_connect_asks_for_the_kept_session_with_our_limits(self) -> None:
        settings = Mqtt(
            client_id="c",
            username="u",
            password=Secret("p"),
            receive_maximum=7,
            session_expiry_seconds=9,
            keepalive_seconds=11,
        )
        (packet,) = sent(Session(settings, ["a"], 0.0))
        assert isinstance(packet, mqtt5.ConnectPacket)
        assert (packet.client_id, packet.username, packet.password) == ("c", "u", b"p")
        assert not packet.clean_start
        assert (packet.receive_max, packet.session_expiry_interval, packet.keep_alive) == (7, 9, 11)
        assert packet.topic_alias_max == 0
        assert packet.max_packet_size is None

    def test_messages_that_follow_connack_at_once_are_delivered_before_suback(self) -> None:
        session = Session(Mqtt(), ["a/+"], 0.0)
        messages = session.receive(
            mqtt5.ConnAckPacket(session_present=True).write() + publish("a/1", b"x", 5)
        )
        assert [seen(message) for message in messages] == [("a/1", b"x", 5)]
        assert session.take_events() == [Connected(session_present=True, keepalive_seconds=30)]

    @pytest.mark.parametrize(
        ("packet", "name", "patient", "advice"),
        [
            (bytes.fromhex("20020001"), "unsupported_protocol_version", True, '"3.1.1"'),
            (bytes.fromhex("20020000"), "unsupported_protocol_version", True, '"3.1.1"'),
            (bytes.fromhex("20020005"), "not_authorized", True, "mqtt.password"),
            (bytes.fromhex("2003008400"), "unsupported_protocol_version", True, '"3.1.1"'),
            (bytes.fromhex("2003008600"), "bad_user_name_or_password", True, "mqtt.password"),
            (bytes.fromhex("2003008700"), "not_authorized", True, "mqtt.username"),
            (bytes.fromhex("2003008a00"), "banned", True, "lift the ban"),
            (bytes.fromhex("2003008900"), "server_busy", False, "too busy"),
            (bytes.fromhex("2003009700"), "quota_exceeded", True, "quota"),
        ],
    )
    def test_a_refusal_is_named_with_what_to_do(
        self, packet: bytes, name: str, patient: bool, advice: str
    ) -> None:
        session = Session(Mqtt(), ["a"], 0.0)
        session.receive(packet)
        (event,) = session.take_events()
        assert isinstance(event, Closed)
        assert (event.refusal.name, event.refusal.patient) == (name, patient)
        assert advice in event.refusal.text
        assert session.closed

    def test_the_brokers_own_words_are_passed_on(self) -> None:
        session = Session(Mqtt(), ["a"], 0.0)
        session.receive(
            mqtt5.ConnAckPacket(
                reason_code=mqtt5.ConnAckReasonCode.SERVER_MOVED,
                reason_str="gone east",
                server_reference="east:1883",
            ).write()
        )
        (event,) = session.take_events()
        assert isinstance(event, Closed)
        assert "gone east" in event.refusal.text
        assert "east:1883" in event.refusal.text

    @pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", b"\x15\x03\x01\x00\x02"])
    def test_what_is_no_mqtt_broker_is_named(self, answer: bytes) -> None:
        session = Session(Mqtt(), ["a"], 0.0)
        session.receive(answer)
        (event,) = session.take_events()
        assert isinstance(event, Closed)
        assert "mqtt.url" in event.refusal.text


class TestSubscribing:
    def test_all_filters_go_in_one_packet_with_the_configured_qos_and_retain_handling(self) -> None:
        session = Session(Mqtt(qos=1, retained="never"), ["a/+", "b/#", "a/+"], 0.0)
        session.take_output(0.0)
        session.receive(CONNACK)
        (packet,) = sent(session)
        assert isinstance(packet, mqtt5.SubscribePacket)
        assert [f.pattern for f in packet.topic_filters] == ["a/+", "b/#"]
        for topic_filter in packet.topic_filters:
            assert topic_filter.max_qos == mqtt5.QoS.AT_LEAST_ONCE
            assert topic_filter.retain_handling == mqtt5.RetainHandling.SEND_NEVER

    def test_a_share_group_prefixes_every_filter(self) -> None:
        session = Session(Mqtt(share_group="g"), ["a/+", "b"], 0.0)
        session.take_output(0.0)
        session.receive(CONNACK)
        (packet,) = sent(session)
        assert isinstance(packet, mqtt5.SubscribePacket)
        assert [f.pattern for f in packet.topic_filters] == ["$share/g/a/+", "$share/g/b"]
        assert not any(f.no_local for f in packet.topic_filters)

    @given(
        filters=st.lists(st.text("ab/", min_size=1, max_size=30), min_size=1, max_size=20),
        limit=st.integers(min_value=60, max_value=200),
    )
    def test_subscribe_packets_respect_the_brokers_packet_size(
        self, filters: list[str], limit: int
    ) -> None:
        session = Session(Mqtt(), filters, 0.0)
        session.take_output(0.0)
        session.receive(mqtt5.ConnAckPacket(max_packet_size=limit).write())
        packets = sent(session)
        assert all(len(packet.write()) <= limit for packet in packets)
        assert [
            topic_filter.pattern
            for packet in packets
            if isinstance(packet, mqtt5.SubscribePacket)
            for topic_filter in packet.topic_filters
        ] == list(dict.fromkeys(filters))

    def test_it_is_subscribed_when_every_packet_was_answered(self) -> None:
        session = Session(Mqtt(), ["a" * 40, "b" * 40], 0.0)
        session.receive(mqtt5.ConnAckPacket(max_packet_size=60).write())
        session.take_events()
        session.receive(suback(1, packet_id=2))
        assert session.take_events() == []
        session.receive(suback(1, packet_id=1))
        assert session.take_events() == [Subscribed(refused=(), lowered=())]

    def test_a_filter_that_stays_refused_uses_up_no_packet_identifiers(self) -> None:
        session = Session(Mqtt(reconnect_max_seconds=1.0), ["a/+"], 0.0)
        session.receive(CONNACK + suback(0x87))
        session.take_output(0.0)
        session._subscribing._last_packet_id = 65_534
        session.check(0.0)
        identifiers = []
        for now_seconds in (1.0, 3.0):
            session.check(now_seconds)
            (packet,) = sent(session, now_seconds)
            assert isinstance(packet, mqtt5.SubscribePacket)
            identifiers.append(packet.packet_id)
            session.receive(suback(0x87, packet_id=packet.packet_id))
            session.check(now_seconds)
        assert identifiers == [65_535, 1]

    def test_a_refused_filter_is_named_and_asked_for_again_while_the_others_go_on(self) -> None:
        session = Session(Mqtt(reconnect_max_seconds=15.0), ["a", "b"], 0.0)
        session.receive(CONNACK + suback(1, 0x87))
        *_, event = session.take_events()
        assert isinstance(event, Subscribed)
        (refusal,) = event.refused
        assert refusal.name == "not_authorized"
        assert "not subscribed to b" in refusal.text
        assert not session.closed
        session.take_output(0.0)
        session.check(1.0)
        session.check(15.0)
        assert sent(session) == []
        session.check(16.0)
        (again,) = sent(session)
        assert isinstance(again, mqtt5.SubscribePacket)
        assert [f.pattern for f in again.topic_filters] == ["b"]
        session.receive(suback(1, packet_id=again.packet_id))
        assert session.take_events() == [Subscribed(refused=(), lowered=())]

    def test_a_lower_qos_than_asked_for_is_reported(self) -> None:
        session = Session(Mqtt(), ["a", "b"], 0.0)
        session.receive(CONNACK + suback(1, 0))
        assert session.take_events()[1:] == [Subscribed(refused=(), lowered=("b",))]

    def test_shared_subscriptions_are_not_asked_of_a_broker_that_ends_the_connection_over_them(
        self,
    ) -> None:
        session = Session(Mqtt(share_group="g"), ["a"], 0.0)
        session.take_output(0.0)
        session.receive(mqtt5.ConnAckPacket(shared_subscription_available=False).write())
        assert sent(session) == []
        *_, event = session.take_events()
        assert isinstance(event, Subscribed)
        assert "mqtt.share_group" in event.refused[0].text
        for now_seconds in range(1, 20):
            session.check(float(now_seconds))
        assert sent(session) == []

    @pytest.mark.parametrize("answer", [suback(1, 1), suback(1, packet_id=9)])
    def test_an_answer_that_fits_no_question_ends_the_connection(self, answer: bytes) -> None:
        session = Session(Mqtt(), ["a"], 0.0)
        session.receive(CONNACK + answer)
        assert session.closed


class TestReceiving:
    def test_every_qos_comes_out_in_the_order_received(self) -> None:
        session = connected()
        data = publish("a/1", b"x") + publish("a/2", b"y", 1) + publish("a/3", b"z", 2, qos=2)
        assert [seen(m) for m in session.receive(data)] == [
            ("a/1", b"x", None),
            ("a/2", b"y", 1),
            ("a/3", b"z", 2),
        ]

    def test_acknowledgements_keep_their_order(self) -> None:
        session = connected()
        session.acknowledge([7, 65535, 256])
        assert session.take_output(0.0) == bytes.fromhex("40020007 4002ffff 40020100")

    def test_an_exactly_once_message_of_an_older_subscription_gets_its_own_handshake(self) -> None:
        session = connected()
        session.receive(publish("a/1", b"x", 3) + publish("a/2", b"y", 4, qos=2))
        session.acknowledge([3, 4])
        puback, pubrec = sent(session)
        assert isinstance(puback, mqtt5.PubAckPacket)
        assert isinstance(pubrec, mqtt5.PubRecPacket)
        assert (puback.packet_id, pubrec.packet_id) == (3, 4)
        session.receive(mqtt5.PubRelPacket(4).write())
        (pubcomp,) = sent(session)
        assert isinstance(pubcomp, mqtt5.PubCompPacket)
        assert pubcomp.packet_id == 4

    def test_messages_before_a_disconnect_in_the_same_bytes_are_delivered(self) -> None:
        session = connected()
        data = publish("a/1", b"x", 1) + bytes.fromhex("e0018e") + publish("a/1", b"y", 2)
        assert [m.packet_id for m in session.receive(data)] == [1]
        (event,) = session.take_events()
        assert isinstance(event, Closed)
        assert event.refusal.name == "session_taken_over"
        assert session.receive(publish("a/1", b"z", 3)) == ()

    def test_nothing_is_handed_on_while_paused_and_nothing_is_lost(self) -> None:
        session = connected()
        first, second = publish("a/1", b"x", 1), publish("a/1", b"y", 2)
        assert len(session.receive(first + second[:4])) == 1
        session.pause()
        assert session.receive(second[4:] + first) == ()
        assert [seen(m) for m in session.resume(1.0)] == [("a/1", b"y", 2), ("a/1", b"x", 1)]

    def test_a_session_that_is_paused_before_connack_connects_and_holds_the_messages(self) -> None:
        session = Session(Mqtt(), ["a"], 0.0)
        session.pause()
        assert session.receive(CONNACK + publish("a", b"x", 1)) == ()
        assert isinstance(session.take_events()[0], Connected)
        assert [seen(m) for m in session.resume(1.0)] == [("a", b"x", 1)]

    def test_a_payload_over_the_limit_is_cut_and_what_follows_is_whole(self) -> None:
        session = Session(Mqtt(), ["a"], 0.0, largest_payload_bytes=1_000)
        session.receive(CONNACK + suback(1))
        data = publish("a", b"x" * 1_000_000, 1) + publish("a", b"y", 2)
        pieces = [data[start : start + 4096] for start in range(0, len(data), 4096)]
        large, small = [message for piece in pieces for message in session.receive(piece)]
        assert seen(large) == ("a", b"x" * 1_000, 1)
        assert seen(small) == ("a", b"y", 2)


class TestBadInput:
    def test_a_topic_that_is_not_utf8_becomes_a_message_that_harms_nobody(
        self, capfd: pytest.CaptureFixture[str]
    ) -> None:
        session = connected()
        good = publish("a/1", b"ok", 9)
        messages = session.receive(good + BAD_UTF8_PUBLISH + good)
        assert [seen(m) for m in messages] == [
            ("a/1", b"ok", 9),
            ("a\ufffd/", b"x", 1),
            ("a/1", b"ok", 9),
        ]
        assert messages[1].correlation_data is None
        assert not session.closed
        capfd.readouterr()
        session.receive((good + BAD_UTF8_PUBLISH) * 20)
        assert capfd.readouterr().err == "", "the codec panics once a connection at most"

    def test_after_bad_text_other_text_beyond_ascii_is_read_as_before(self) -> None:
        session = connected()
        session.receive(BAD_UTF8_PUBLISH)
        (message,) = session.receive(publish("a/ü", "ü".encode(), 2))
        assert isinstance(message, mqtt5.PublishPacket)
        assert seen(message) == ("a/ü", "ü".encode(), 2)

    @pytest.mark.parametrize(
        ("packet", "payload"),
        [
            (b"\x32\x10\x00\x03a/b\x00\x01\x07\x26\x00\x01\xff\x00\x01bx", b"x"),
            (b"\x32\x0b\x00\x03a/b\x00\x01\x02\x7f\x01x", b"x"),
            (b"\x32\x09\x00\x03a/b\x00\x01\x7fx", b""),
            (b"\x32\x0b\x00\x03a/b\x00\x01\xff\xff\xff\xff", b""),
        ],
        ids=["property not UTF-8", "property unknown", "properties too long", "length too long"],
    )
    def test_bad_properties_spare_the_message(self, packet: bytes, payload: bytes) -> None:
        session = connected()
        assert [seen(m) for m in session.receive(packet)] == [("a/b", payload, 1)]

    def test_a_salvaged_exactly_once_message_gets_its_own_handshake(self) -> None:
        session = connected()
        session.receive(b"\x34" + BAD_UTF8_PUBLISH[1:])
        session.acknowledge([1])
        assert [type(packet) for packet in sent(session)] == [mqtt5.PubRecPacket]

    @pytest.mark.parametrize(
        "packet",
        [
            b"\x36\x09\x00\x03a/b\x00\x01\x00x",
            b"\x32\x09\x00\x33a/b\x00\x01\x00x",
            b"\x30\xff\xff\xff\xff\x01",
            b"\x00\x00",
            b"\xd1\x00",
            b"\x90\x04\x00\x01\x00\x33",
            CONNACK,
            PINGREQ,
        ],
        ids=["qos 3", "topic too long", "length", "type 0", "flags", "code", "connack", "pingreq"],
    )
    def test_any_other_malformed_packet_ends_the_connection_with_a_reason(
        self, packet: bytes
    ) -> None:
        session = connected()
        assert len(session.receive(publish("a/1", b"x", 1) + packet + publish("a/1", b"y", 2))) == 1
        assert session.closed
        *_, last = sent(session)
        assert isinstance(last, mqtt5.DisconnectPacket)
        assert int(last.reason_code) in {0x81, 0x82}

    @pytest.mark.parametrize("topic", [b"a/1", b"a\xff1"], ids=["read", "salvaged"])
    @pytest.mark.parametrize("before", [b"", publish("a/1", b"z", 8, qos=2)], ids=["", "QoS 2"])
    def test_a_packet_identifier_of_0_ends_the_connection_when_it_is_to_be_acknowledged(
        self, topic: bytes, before: bytes
    ) -> None:
        session = connected()
        before += publish("a/1", b"x", 5)
        nameless = b"\x32\x09\x00\x03" + topic + b"\x00\x00\x00x"
        messages = session.receive(before + nameless + publish("a/1", b"y", 6))
        ids = [m.packet_id for m in messages if m.packet_id is not None]
        assert ids[-3:] == [5, 0, 6]
        session.acknowledge(ids)
        *acknowledged, farewell = sent(session)
        assert [p.packet_id for p in acknowledged] == ids[:-2]  # type: ignore[union-attr]
        assert isinstance(farewell, mqtt5.DisconnectPacket)
        assert int(farewell.reason_code) == 0x82
        (event,) = session.take_events()
        assert isinstance(event, Closed)
        assert "packet identifier 0" in event.refusal.text

    @pytest.mark.parametrize(
        "packet",
        [b"\x32\x09\x00\x00\x00\x01\x03\x23\x00\x05x", b"\x32\x06\x00\x00\x00\x01\x00x"],
        ids=["alias", "no alias"],
    )
    def test_a_message_without_a_topic_is_handed_on_to_be_refused(self, packet: bytes) -> None:
        session = connected()
        assert [seen(m) for m in session.receive(packet)] == [("", b"x", 1)]
        assert not session.closed

    @given(data=st.binary(max_size=200), size=st.integers(min_value=1, max_value=50))
    def test_garbage_never_raises_and_never_brings_the_session_to_connect(
        self, data: bytes, size: int
    ) -> None:
        session = Session(Mqtt(), ["a"], 0.0)
        for start in range(0, len(data), size):
            session.receive(data[start : start + size])
        if not data.startswith(b"\x20"):
            assert not any(isinstance(event, Connected) for event in session.take_events())


def packets() -> st.SearchStrategy[bytes]:
    """A packet that a broker may send, now and then a broken one."""
    ids = st.integers(min_value=1, max_value=65535)
    topics = st.text(
        st.characters(exclude_characters="+#\0", codec="utf-8"), min_size=1, max_size=20
    )
    payloads = st.binary(max_size=300)
    qos1 = st.builds(publish, topics, payloads, ids)
    return st.one_of(
        st.builds(publish, topics, payloads),
        qos1,
        qos1,
        st.builds(publish, topics, payloads, ids, st.just(2)),
        st.just(PINGRESP),
        st.builds(lambda i: mqtt5.PubRelPacket(i).write(), ids),
        st.just(BAD_UTF8_PUBLISH),
        st.binary(min_size=1, max_size=10),
    )


def run(chunks: list[bytes], largest_payload_bytes: int) -> tuple[list[object], list[Event], bytes]:
    session = Session(Mqtt(), ["a"], 0.0, largest_payload_bytes=largest_payload_bytes)
    messages: list[object] = []
    for chunk in chunks:
        messages += [seen(message) for message in session.receive(chunk)]
    return messages, session.take_events(), session.take_output(0.0)


@given(
    stream=st.lists(packets(), max_size=12).map(lambda parts: CONNACK + b"".join(parts)),
    cuts=st.lists(st.integers(min_value=0, max_value=4000), max_size=40),
)
def test_any_chunking_of_the_same_bytes_gives_the_same_messages_events_and_answers(
    stream: bytes, cuts: list[int]
) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
    whole = run([stream], 10_000)
    assert run(pieces, 10_000) == whole
    assert run([stream[i : i + 1] for i in range(len(stream))], 10_000) == whole


class TestKeepalive:
    def test_a_ping_is_due_before_a_keepalive_has_passed_since_the_last_packet_sent(self) -> None:
        session = connected(Mqtt(keepalive_seconds=30))
        pings = []
        for now_seconds in range(1, 121):
            session.check(float(now_seconds))
            if session.take_output(float(now_seconds)) == PINGREQ:
                pings.append(now_seconds)
                session.receive(PINGRESP)
        assert pings == [23, 46, 69, 92, 115]
        assert session.pings_sent == 5
        assert not session.closed

    def test_acknowledgements_put_the_ping_off(self) -> None:
        session = connected(Mqtt(keepalive_seconds=30))
        for now_seconds in range(1, 121):
            session.check(float(now_seconds))
            session.acknowledge([1])
            assert session.take_output(float(now_seconds)) == b"\x40\x02\x00\x01"

    def test_receiving_alone_does_not_put_the_ping_off(self) -> None:
        session = connected(Mqtt(keepalive_seconds=30))
        for now_seconds in range(1, 121):
            session.check(float(now_seconds))
            session.receive(publish("a/1"))
            session.take_output(float(now_seconds))
        assert session.pings_sent == 5

    def test_a_broker_that_does_not_answer_for_a_keepalive_is_left(self) -> None:
        session = connected(Mqtt(keepalive_seconds=30))
        now_seconds = 0.0
        while not session.closed:
            now_seconds += 1
            session.check(now_seconds)
            session.take_output(now_seconds)
            assert now_seconds < 100
        assert now_seconds == 23 + 31
        (event,) = session.take_events()
        assert isinstance(event, Closed)
        assert event.refusal.name == "keepalive_timeout"

    def test_any_packet_is_a_sign_of_life(self) -> None:
        session = connected(Mqtt(keepalive_seconds=30))
        for now_seconds in range(1, 200):
            session.check(float(now_seconds))
            session.take_output(float(now_seconds))
            if now_seconds % 25 == 0:
                session.receive(publish("a/1"))
        assert not session.closed

    def test_nothing_is_concluded_while_paused_though_pings_go_on(self) -> None:
        session = connected(Mqtt(keepalive_seconds=30))
        session.pause()
        for now_seconds in range(1, 1000):
            session.check(float(now_seconds))
            session.take_output(float(now_seconds))
        assert not session.closed
        assert session.pings_sent == 43
        session.resume(1000.0)
        for now_seconds in range(1000, 1031):
            session.check(float(now_seconds))
        assert not session.closed, "the broker has a whole keepalive to answer"
        session.check(1031.0)
        assert session.closed

    def test_a_process_that_stood_still_does_not_blame_the_broker(self) -> None:
        session = connected(Mqtt(keepalive_seconds=30))
        for now_seconds in (*range(1, 25), 500):
            session.check(float(now_seconds))
            session.take_output(float(now_seconds))
        assert not session.closed

    def test_the_brokers_keepalive_replaces_ours(self) -> None:
        session = Session(Mqtt(keepalive_seconds=30), ["a"], 0.0)
        session.receive(mqtt5.ConnAckPacket(server_keep_alive=8).write())
        assert session.take_events()[0] == Connected(session_present=False, keepalive_seconds=8)
        session.take_output(0.0)
        session.check(6.0)
        assert session.take_output(6.0) == PINGREQ


def test_disconnecting_says_so_once_and_delivers_nothing_afterwards() -> None:
    session = connected()
    session.acknowledge([1])
    session.disconnect()
    session.disconnect()
    assert session.take_output(0.0) == bytes.fromhex("40020001 e000")
    assert session.receive(publish("a/1", b"x", 2)) == ()
    session.acknowledge([2])
    session.check(1000.0)
    assert session.take_output(0.0) == b""
