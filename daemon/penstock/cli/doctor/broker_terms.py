"""What the terms cost that a broker of MQTT 5 grants in its CONNACK. Pure.

The rate of QoS 1 is the in-flight window divided by the time from delivery to acknowledgement,
which is above all that of a commit.
"""

from collections.abc import Iterator

import msgspec

from penstock.cli.doctor.amounts import in_bytes, in_time, rate_of
from penstock.cli.doctor.finding import Finding, note, ok, problem, warning
from penstock.settings.tree import Settings

COMMIT_SECONDS = 0.05
"""A slow but usual one, to state rates by."""
SMALL_WINDOW = 100
"""Messages in flight: 2,000 a second by that."""
SHIPPED = "config/mosquitto/penstock.conf"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a CONNACK of MQTT 5 grants (§3.2.2.3)."""

    session_expiry_seconds: int
    receive_maximum: int
    largest_packet_bytes: int | None
    qos: int
    keepalive_seconds: int
    retained: bool
    wildcards: bool
    shared: bool


def judge_terms(settings: Settings, terms: Terms, *, is_mosquitto: bool) -> Iterator[Finding]:
    """What each of them costs."""
    yield from _window(settings, terms, is_mosquitto=is_mosquitto)
    yield _session_expiry(settings.mqtt.session_expiry_seconds, terms.session_expiry_seconds)
    yield _qos(terms.qos)
    yield _packet_size(settings.limits.payload_bytes, terms.largest_packet_bytes)
    yield _retained(settings.mqtt.retained, available=terms.retained)
    yield from _wildcards_and_shares(settings, terms)
    yield _keepalive(settings.mqtt.keepalive_seconds, terms.keepalive_seconds)


def _window(settings: Settings, terms: Terms, *, is_mosquitto: bool) -> Iterator[Finding]:
    """Both windows: ours, and the one that each publisher has.

    In a CONNACK the Receive Maximum is what the broker takes at once; mosquitto means only that.
    EMQX means its window to us by it, and others may.
    """
    check, asked, announced = "broker.window", settings.mqtt.receive_maximum, terms.receive_maximum
    if not is_mosquitto and announced < asked:
        text = (
            f"The broker announces a Receive Maximum of {announced:,}, and Penstock asks for "
            f"{asked:,}. Where it holds in both directions, as with EMQX, Penstock gets at most "
            f"{rate_of(announced, COMMIT_SECONDS)}; mosquitto means its publishers alone."
        )
        judge = warning if announced < SMALL_WINDOW else note
        yield judge(check, text, "Raise the broker's in-flight window (EMQX: mqtt.max_inflight).")
        return
    if asked < SMALL_WINDOW:
        yield warning(
            check,
            f"mqtt.receive_maximum is {asked}: at most {rate_of(asked, COMMIT_SECONDS)}.",
            "Raise it; the default is 20,000.",
        )
    else:
        yield ok(
            check,
            f"The broker may send {asked:,} messages ahead of our acknowledgements: "
            f"{rate_of(asked, COMMIT_SECONDS)}.",
        )
    if announced < SMALL_WINDOW:
        yield warning(
            "broker.publishers",
            f"Each publisher of MQTT 5 may have {announced} messages under way to the broker: "
            f"{announced / COMMIT_SECONDS:,.0f} messages/s over a link of 50 ms.",
            f"In mosquitto, max_inflight_messages, as in {SHIPPED}.",
        )


def _session_expiry(asked: int, granted: int) -> Finding:
    check = "broker.session_expiry"
    if asked == 0:
        return warning(
            check,
            "mqtt.session_expiry_seconds is 0: what is published while the daemon is away or "
            "reconnects is lost.",
            "Set it to more than your longest maintenance; the default is 7 days.",
        )
    if granted == 0:
        return problem(
            check,
            f"The broker keeps no session, where Penstock asks for {in_time(asked)}: what is "
            "published while the daemon is away or reconnects is lost.",
            "Allow a session expiry in the broker.",
        )
    if granted < asked:
        return warning(
            check,
            f"The broker keeps the session for {in_time(granted)}, where Penstock asks for "
            f"{in_time(asked)}: when the daemon is away for longer, all that waits is lost.",
            "Raise the broker's limit of the session expiry.",
        )
    return ok(
        check, f"The broker keeps the session for {in_time(granted)} while the daemon is away."
    )


def _qos(highest: int) -> Finding:
    check = "broker.highest_qos"
    if highest == 0:
        return problem(
            check,
            "The broker offers QoS 0 only: whatever is under way in a crash of either is lost.",
            "Allow QoS 1 in the broker.",
        )
    return ok(check, f"The broker offers QoS {highest}.")


def _packet_size(payload_bytes: int, largest: int | None) -> Finding:
    check = "broker.packet_size"
    if largest is None:
        return note(
            check,
            "The broker sets no largest packet, so one client's giant message takes the memory of "
            "all.",
            f"Set one (in mosquitto, max_packet_size, as in {SHIPPED}).",
        )
    if largest <= payload_bytes:
        return note(
            check,
            f"The broker refuses packets of more than {in_bytes(largest)}, and Penstock would take "
            f"payloads of {in_bytes(payload_bytes)} (limits.payload_bytes): a larger one never "
            "arrives, and becomes no dead letter.",
            "Raise the broker's limit above limits.payload_bytes, if such messages may come.",
        )
    return ok(check, f"The broker takes packets of up to {in_bytes(largest)}.")


def _retained(wanted: str, *, available: bool) -> Finding:
    check = "broker.retained"
    if available:
        return ok(check, "The broker has retained messages.")
    if wanted == "never":
        return note(check, "The broker has no retained messages; Penstock asks for none.")
    return warning(
        check,
        f"The broker has no retained messages, which mqtt.retained: {wanted} asks for.",
        "Set mqtt.retained to never, or switch them on in the broker.",
    )


def _wildcards_and_shares(settings: Settings, terms: Terms) -> Iterator[Finding]:
    if not terms.wildcards:
        yield problem(
            "broker.wildcards",
            "The broker has no wildcards, which every route with names in its topic needs.",
            "Switch them on in the broker.",
        )
    check = "broker.shared"
    if terms.shared:
        yield ok(check, "The broker has shared subscriptions.")
    elif settings.mqtt.share_group is None:
        yield note(check, "The broker has no shared subscriptions; mqtt.share_group is not set.")
    else:
        yield problem(
            check,
            "The broker has no shared subscriptions, so mqtt.share_group keeps Penstock from "
            "receiving anything.",
            "Remove mqtt.share_group, or switch them on in the broker.",
        )


def _keepalive(asked: int, granted: int) -> Finding:
    check = "broker.keepalive"
    if granted == asked:
        return ok(check, f"The keepalive is {granted} s, as asked for.")
    return note(
        check,
        f"The broker sets a keepalive of {granted} s instead of {asked} s: a dead link is noticed "
        f"within {2 * granted} s.",
    )
