"""What the doctor makes of what a broker said."""

import mqtt5
import pytest
from msgspec.structs import replace

from penstock.cli.doctor.broker import BrokerFacts, Grants, judge_broker
from penstock.cli.doctor.broker_terms import Terms
from penstock.cli.doctor.finding import Finding, Level
from penstock.cli.doctor.terms import terms_of
from penstock.settings.tree import Limits, Mqtt, Settings

TERMS = Terms(
    session_expiry_seconds=604_800,
    receive_maximum=1000,
    largest_packet_bytes=2_097_152,
    qos=2,
    keepalive_seconds=30,
    retained=True,
    wildcards=True,
    shared=True,
)
WELL = BrokerFacts(
    place="broker:1883",
    terms=TERMS,
    grants=Grants(filters=2, subscribed=True, detail=""),
    version="mosquitto version 2.0.21",
    dropped_messages=0,
)
OTHER_BROKER = replace(WELL, version=None)


def findings(facts: BrokerFacts, **mqtt: object) -> dict[str, Finding]:
    settings = Settings(mqtt=replace(Mqtt(), **mqtt))
    return {finding.check: finding for finding in judge_broker(settings, facts)}


def with_terms(facts: BrokerFacts = WELL, **changes: object) -> BrokerFacts:
    return replace(facts, terms=replace(TERMS, **changes))


def test_of_a_broker_as_we_configure_it_nothing_is_worse_than_a_note() -> None:
    found = findings(WELL)
    notes = {check for check, finding in found.items() if finding.level is not Level.OK}
    assert notes == {"broker.persistence"}
    assert len(found) == 12


@pytest.mark.parametrize(
    ("facts", "mqtt", "check", "level", "said"),
    [
        (replace(WELL, version="mosquitto version 2.0.20"), {}, "version", "problem", "2.0.20"),
        (replace(WELL, version="mosquitto version 1.6.9"), {}, "version", "problem", "1.6.9"),
        (replace(WELL, version="mosquitto version 2.1.0"), {}, "version", "ok", "2.1.0"),
        (replace(WELL, version="HiveMQ 4.28"), {}, "version", "ok", "HiveMQ 4.28"),
        (OTHER_BROKER, {}, "version", "note", "does not say its version"),
        (replace(WELL, dropped_messages=1), {}, "dropped", "warning", "1 message since"),
        (WELL, {"qos": 0}, "qos", "warning", "mqtt.qos is 0"),
        (replace(WELL, grants=None), {}, "subscriptions", "problem", "within 20 s"),
        (
            replace(WELL, grants=Grants(2, subscribed=False, detail="not subscribed to a/#: no")),
            {},
            "subscriptions",
            "problem",
            "not subscribed to a/#: no",
        ),
        (
            replace(WELL, grants=Grants(2, subscribed=True, detail="a/#: granted at QoS 0 only")),
            {},
            "subscriptions",
            "problem",
            "granted at QoS 0 only",
        ),
        # mosquitto's Receive Maximum is the publishers' window, EMQX's is ours.
        (WELL, {}, "window", "ok", "400,000 messages/s at a commit of 50 ms"),
        (WELL, {"receive_maximum": 99}, "window", "warning", "1,980 messages/s"),
        (WELL, {"receive_maximum": 100}, "window", "ok", "2,000 messages/s"),
        (with_terms(receive_maximum=20), {}, "publishers", "warning", "400 messages/s"),
        (with_terms(receive_maximum=20), {}, "window", "ok", "20,000"),
        (
            with_terms(OTHER_BROKER, receive_maximum=32),
            {},
            "window",
            "warning",
            "640 messages/s at a commit of 50 ms",
        ),
        (with_terms(OTHER_BROKER, receive_maximum=99), {}, "window", "warning", "1,980"),
        (with_terms(OTHER_BROKER, receive_maximum=100), {}, "window", "note", "2,000 messages/s"),
        (with_terms(OTHER_BROKER, receive_maximum=20_000), {}, "window", "ok", "20,000"),
        (WELL, {}, "session_expiry", "ok", "7 days"),
        (WELL, {"session_expiry_seconds": 0}, "session_expiry", "warning", "is 0"),
        (with_terms(session_expiry_seconds=0), {}, "session_expiry", "problem", "keeps no session"),
        (with_terms(session_expiry_seconds=7200), {}, "session_expiry", "warning", "for 2 hours"),
        (with_terms(qos=0), {}, "highest_qos", "problem", "QoS 0 only"),
        (with_terms(qos=1), {}, "highest_qos", "ok", "QoS 1"),
        (with_terms(largest_packet_bytes=None), {}, "packet_size", "note", "no largest packet"),
        (with_terms(largest_packet_bytes=262_144), {}, "packet_size", "note", "262 kB"),
        (with_terms(largest_packet_bytes=262_145), {}, "packet_size", "ok", "262 kB"),
        (with_terms(retained=False), {}, "retained", "note", "asks for none"),
        (with_terms(retained=False), {"retained": "new"}, "retained", "warning", "new"),
        (with_terms(wildcards=False), {}, "wildcards", "problem", "no wildcards"),
        (with_terms(shared=False), {}, "shared", "note", "is not set"),
        (with_terms(shared=False), {"share_group": "g"}, "shared", "problem", "share_group"),
        (with_terms(keepalive_seconds=20), {}, "keepalive", "note", "20 s instead of 30 s"),
    ],
)
def test_each_term_is_judged(
    facts: BrokerFacts, mqtt: dict[str, object], check: str, level: str, said: str
) -> None:
    finding = findings(facts, **mqtt)[f"broker.{check}"]
    assert (finding.level, said in finding.text) == (level, True), finding
    assert finding.advice or level in {"ok", "note"}


def test_the_packet_size_is_compared_with_the_limit_of_payloads() -> None:
    settings = Settings(limits=Limits(payload_bytes=3_000_000))
    found = {finding.check: finding for finding in judge_broker(settings, WELL)}
    assert found["broker.packet_size"].level is Level.NOTE
    assert "3 MB" in found["broker.packet_size"].text


def test_without_a_session_there_is_one_problem_and_no_guess() -> None:
    found = findings(BrokerFacts(place="broker:1883", refusal="nothing listens there"))
    assert [(check, f.level) for check, f in found.items()] == [
        ("broker.connection", Level.PROBLEM)
    ]
    assert "nothing listens there" in found["broker.connection"].text


def test_a_session_of_somebody_else_is_a_problem_and_nothing_more_is_said() -> None:
    found = findings(replace(WELL, client_id_replaced=True))
    assert [(check, f.level) for check, f in found.items()] == [("broker.client_id", Level.PROBLEM)]


def test_of_mqtt_3_1_1_it_says_what_is_unknown_and_what_bounds_the_rate() -> None:
    found = findings(replace(WELL, terms=None), protocol="3.1.1")
    assert found["broker.terms"].level is Level.NOTE
    assert "session expiry" in found["broker.terms"].text
    assert found["broker.window"].level is Level.WARNING
    assert "default of 20 it is 400 messages/s at a commit of 50 ms" in found["broker.window"].text


def test_over_websockets_it_says_what_is_unknown() -> None:
    found = findings(replace(WELL, terms=None, websocket=True))
    assert found["broker.terms"].level is Level.NOTE
    assert "WebSockets" in found["broker.terms"].text
    assert "broker.window" not in found


def test_over_websockets_mqtt_3_1_1_is_bounded_just_the_same() -> None:
    found = findings(replace(WELL, terms=None, websocket=True), protocol="3.1.1")
    assert found["broker.window"].level is Level.WARNING


def test_what_a_connack_leaves_out_is_as_it_was_asked_for() -> None:
    assert terms_of(mqtt5.ConnAckPacket(), Mqtt()) == replace(
        TERMS, receive_maximum=65_535, largest_packet_bytes=None
    )


def test_the_terms_are_those_of_the_connack() -> None:
    connack = mqtt5.ConnAckPacket(
        session_expiry_interval=0,
        server_keep_alive=7,
        receive_max=32,
        max_qos=mqtt5.QoS.AT_LEAST_ONCE,
        max_packet_size=1000,
        retain_available=False,
        wildcard_subscription_available=False,
        shared_subscription_available=False,
    )
    assert terms_of(connack, Mqtt()) == Terms(
        session_expiry_seconds=0,
        receive_maximum=32,
        largest_packet_bytes=1000,
        qos=1,
        keepalive_seconds=7,
        retained=False,
        wildcards=False,
        shared=False,
    )
