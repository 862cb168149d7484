"""What a broker's reason codes mean to an operator, in one table.

A refusal never ends the process: what is refused today is allowed when the broker's configuration
changes. It decides only how patiently to try again, and what the log and the health answer say.
"""

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """Why a connection or a subscription is not to be had."""

    name: str
    """Short and stable, for logs to be searched by."""
    text: str
    """What happened and what to do, for an operator."""
    patient: bool
    """Whether trying again soon is pointless, so that the longest delay applies at once."""


UNACCEPTABLE_PROTOCOL_VERSION = 0x01
"""Of MQTT 3.1.1: how an old broker answers the CONNECT of a newer protocol."""

KEEP_ALIVE_TIMEOUT = 0x8D
SESSION_TAKEN_OVER = 0x8E
SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2

_UNSUPPORTED_PROTOCOL = (
    "unsupported_protocol_version",
    'the broker does not speak this version of MQTT: set mqtt.protocol to "3.1.1"',
    True,
)
_CLIENT_ID = (
    "client_identifier_not_valid",
    # mosquitto has no other answer to an MQTT 3.1.1 client whose keepalive is above max_keepalive.
    (
        "the broker refuses the client id: change mqtt.client_id; or, with MQTT 3.1.1, it wants"
        " mqtt.keepalive_seconds to be no more than its own limit (max_keepalive)"
    ),
    True,
)
_UNAVAILABLE = ("server_unavailable", "the broker is not available at present", False)
_CREDENTIALS = (
    "bad_user_name_or_password",
    "the broker refuses the user name or password: check mqtt.username and mqtt.password",
    True,
)
_NOT_AUTHORIZED = (
    "not_authorized",
    "the broker does not let this client in: check mqtt.username, mqtt.password, and its rules",
    True,
)
_MOVED = "set mqtt.url to where the broker is now"

_TABLE: dict[int, tuple[str, str, bool]] = {
    # MQTT 3.1.1 §3.2.2.3: old brokers answer any CONNECT with these.
    UNACCEPTABLE_PROTOCOL_VERSION: _UNSUPPORTED_PROTOCOL,
    0x02: _CLIENT_ID,
    0x03: _UNAVAILABLE,
    0x04: _CREDENTIALS,
    0x05: _NOT_AUTHORIZED,
    # MQTT 5 §2.4.
    0x00: ("normal_disconnection", "the broker ended the connection", False),
    0x80: ("unspecified_error", "the broker gives no reason: see the broker's log", False),
    0x81: ("malformed_packet", "the broker could not read what we sent: report this", True),
    0x82: ("protocol_error", "the broker says that we broke the protocol: report this", True),
    0x83: ("implementation_specific_error", "see the broker's log", False),
    0x84: _UNSUPPORTED_PROTOCOL,
    0x85: _CLIENT_ID,
    0x86: _CREDENTIALS,
    0x87: _NOT_AUTHORIZED,
    0x88: _UNAVAILABLE,
    0x89: ("server_busy", "the broker is too busy", False),
    0x8A: ("banned", "the broker has banned this client: lift the ban in the broker", True),
    0x8B: ("server_shutting_down", "the broker is shutting down", False),
    0x8C: ("bad_authentication_method", "the broker wants enhanced authentication", True),
    KEEP_ALIVE_TIMEOUT: (
        "keep_alive_timeout",
        "the broker heard nothing from us within the keepalive",
        False,
    ),
    SESSION_TAKEN_OVER: (
        "session_taken_over",
        "another connection with the same mqtt.client_id took the session over",
        False,
    ),
    0x8F: ("topic_filter_invalid", "the broker refuses a topic filter: check routes", True),
    0x93: ("receive_maximum_exceeded", "the broker says that we sent too much: report this", False),
    0x95: ("packet_too_large", "a packet of ours is too large for the broker: report this", True),
    0x96: ("message_rate_too_high", "raise the broker's rate limit for this client", True),
    0x97: ("quota_exceeded", "raise the broker's quota for this client", True),
    0x98: ("administrative_action", "an administrator of the broker closed the connection", True),
    0x9C: ("use_another_server", f"the broker sends us elsewhere: {_MOVED}", True),
    0x9D: ("server_moved", f"the broker has moved: {_MOVED}", True),
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: (
        "shared_subscriptions_not_supported",
        "the broker has no shared subscriptions: remove mqtt.share_group",
        True,
    ),
    0x9F: ("connection_rate_exceeded", "the broker limits how often clients connect", True),
    0xA0: ("maximum_connect_time", "the broker limits how long a connection lasts", False),
    0xA1: ("subscription_identifiers_not_supported", "see the broker's log", True),
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED: (
        "wildcard_subscriptions_not_supported",
        "the broker has no wildcards, which every route with names needs: allow them there",
        True,
    ),
}

_OF_A_SUBSCRIPTION = {
    0x80: "the broker gives no reason: see its access rules and its log",
    0x87: "the broker does not let this client subscribe to it: check the broker's access rules",
    0x8F: "the broker finds the filter invalid: check the route",
    0x97: "the broker's quota of subscriptions is used up: raise it",
}


def refusal(code: int, said: str | None = None, reference: str | None = None) -> Refusal:
    """What a code of CONNACK or DISCONNECT means; `said` and `reference` are the broker's words."""
    name, text, patient = _TABLE.get(code, ("unknown", "see the broker's log", False))
    for label, value in (("it says", said), ("server reference", reference)):
        if value:
            text += f" ({label}: {value})"
    return Refusal(name, f"{text} [{code:#04x} {name}]", patient)


def subscription_refusal(pattern: str, code: int) -> Refusal:
    """What a failure code of SUBACK means for the filter it stands for."""
    name, text, _ = _TABLE.get(code, ("unknown", "see the broker's log", False))
    text = _OF_A_SUBSCRIPTION.get(code, text)
    return Refusal(name, f"not subscribed to {pattern}: {text} [{code:#04x} {name}]", patient=True)


def malformed(what: str) -> Refusal:
    """The broker, or what stands in its place, sent what is no MQTT 5."""
    return Refusal(
        "malformed_packet",
        f"the broker sent what is not valid MQTT 5 ({what}): check that mqtt.url is an MQTT "
        'listener, or set mqtt.protocol to "3.1.1"',
        patient=True,
    )


def unanswered(seconds: float) -> Refusal:
    """The keepalive ran out."""
    return Refusal(
        "keepalive_timeout", f"nothing was heard from the broker for {seconds:g} s", patient=False
    )
