"""What the broker costs, judged from what it said. Pure."""

import re
from collections.abc import Iterator

import msgspec

from penstock.cli.doctor.amounts import counted, rate_of
from penstock.cli.doctor.broker_terms import COMMIT_SECONDS, SHIPPED, Terms, judge_terms
from penstock.cli.doctor.finding import Finding, note, ok, problem, warning
from penstock.settings.tree import Settings

MOSQUITTO_DEFAULT_WINDOW = 20
OLDEST_MOSQUITTO = (2, 0, 21)

_MOSQUITTO = re.compile(r"mosquitto version (\d+)\.(\d+)\.(\d+)")


class Grants(msgspec.Struct, frozen=True):
    """What became of the subscriptions to the routes."""

    filters: int
    subscribed: bool
    detail: str
    """What was refused or lowered; empty when all was granted as asked."""


class BrokerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that was learnt of the broker."""

    place: str
    refusal: str = ""
    """Why there is no session; then the rest is unknown."""
    client_id_replaced: bool = False
    """It put our client id aside and gave us the session of somebody else."""
    websocket: bool = False
    terms: Terms | None = None
    """`None` where it cannot tell them: MQTT 3.1.1, or WebSockets."""
    grants: Grants | None = None
    """`None` where the broker did not answer in time."""
    version: str | None = None
    dropped_messages: int | None = None
    """Since the broker started, for all its clients; mosquitto tells."""


def judge_broker(settings: Settings, facts: BrokerFacts) -> Iterator[Finding]:
    """Everything about the broker, the connection first."""
    if facts.refusal:
        yield problem(
            "broker.connection",
            f"No session with the broker at {facts.place}: {facts.refusal}.",
            "Nothing else about the broker is known until this is mended.",
        )
        return
    if facts.client_id_replaced:
        yield _client_id_replaced()
        return
    yield ok(
        "broker.connection",
        f"The broker at {facts.place} accepts MQTT {settings.mqtt.protocol}. "
        "This was asked in a session of its own, which has its own copy of every message.",
    )
    yield _version(facts.version)
    yield from _dropped(facts.dropped_messages)
    yield from _grants(settings, facts.grants)
    if facts.terms is None:
        yield from _unknown_terms(settings, websocket=facts.websocket)
    else:
        is_mosquitto = bool(facts.version and _MOSQUITTO.match(facts.version))
        yield from judge_terms(settings, facts.terms, is_mosquitto=is_mosquitto)
    yield note(
        "broker.persistence",
        "No client can ask whether the broker keeps sessions on its disk, nor how many messages "
        "it lets wait.",
        f"For mosquitto compare its configuration with {SHIPPED}: by its own defaults it drops "
        "what exceeds 1,000 waiting messages.",
    )


def _client_id_replaced() -> Finding:
    return problem(
        "broker.client_id",
        "The broker put the doctor's client id aside and gave it a session that is in use, so "
        "nothing more was asked. The session is intact, and its daemon has reconnected.",
        "Have the broker use the id that a client gives (in mosquitto, use_username_as_clientid "
        "false). Until then do not run this beside a daemon.",
    )


def _version(version: str | None) -> Finding:
    check = "broker.version"
    if version is None:
        return note(
            check,
            "The broker does not say its version: nothing came from $SYS/broker/version.",
            "If it is mosquitto, see that it is 2.0.21 or newer; older ones lose MQTT 5 sessions "
            "on a restart. (In its acl_file: `topic read $SYS/broker/#` for Penstock's user.)",
        )
    mosquitto = _MOSQUITTO.match(version)
    if mosquitto and tuple(map(int, mosquitto.groups())) < OLDEST_MOSQUITTO:
        return problem(
            check,
            f"The broker is {version}, which loses MQTT 5 sessions, with all that waits in them, "
            "when it restarts.",
            "Install mosquitto 2.0.21 or newer.",
        )
    return ok(check, f"The broker is {version}.")


def _dropped(messages: int | None) -> Iterator[Finding]:
    if messages is None:
        return
    check = "broker.dropped"
    if messages:
        yield warning(
            check,
            f"The broker has dropped {counted(messages, 'message')} since it started, because the "
            "queue of a client (Penstock or another) was full.",
            f"Set max_queued_messages 0 with a memory_limit, as in {SHIPPED}.",
        )
    else:
        yield ok(check, "The broker has dropped no message since it started.")


def _grants(settings: Settings, grants: Grants | None) -> Iterator[Finding]:
    check = "broker.subscriptions"
    if settings.mqtt.qos == 0:
        yield warning(
            "broker.qos",
            "mqtt.qos is 0: nothing is delivered again after a crash or a lost connection.",
            "Set mqtt.qos to 1.",
        )
    if grants is None:
        yield problem(
            check,
            f"The broker did not answer the subscriptions within "
            f"{2 * settings.mqtt.connect_timeout_seconds:g} s.",
            "See its log, and whether it is overloaded.",
        )
        return
    if not grants.subscribed:
        yield problem(
            check,
            f"The routes need {counted(grants.filters, 'filter')}, and some are refused: "
            f"{grants.detail}.",
            "Until it is granted, none of its messages arrive. Allow Penstock's user to read it.",
        )
    elif grants.detail:
        yield problem(
            check, f"The broker grants less than asked: {grants.detail}.", "Let it grant QoS 1."
        )
    else:
        yield ok(
            check,
            f"The routes need {counted(grants.filters, 'filter')}, granted at QoS "
            f"{settings.mqtt.qos}.",
        )


def _unknown_terms(settings: Settings, *, websocket: bool) -> Iterator[Finding]:
    unknown = "session expiry, largest packet, retained and shared subscriptions, keepalive"
    if websocket:
        yield note(
            "broker.terms",
            f"Over WebSockets the doctor does not see the broker's terms ({unknown}).",
            "Use mqtt:// or mqtts:// where the broker has such a listener: it is several times as "
            "fast, too.",
        )
    else:
        yield note(
            "broker.terms",
            f"MQTT 3.1.1 has no words for the broker's terms: {unknown} are unknown.",
        )
    if settings.mqtt.protocol == "3.1.1":
        rate = rate_of(MOSQUITTO_DEFAULT_WINDOW, COMMIT_SECONDS)
        yield warning(
            "broker.window",
            "With MQTT 3.1.1 the broker alone decides how many messages it sends ahead of the "
            f"acknowledgements, and does not say. With mosquitto's default of 20 it is {rate}.",
            'Set mqtt.protocol to "5" if the broker speaks it; else raise its window '
            f"(max_inflight_messages in {SHIPPED}).",
        )
