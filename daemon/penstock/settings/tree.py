"""The typed tree of the configuration.

Every bound is in a type and every default is here and nowhere else; `config/penstock.yaml` shows
the same tree to people, and a test keeps the two alike. This module reads nothing: `loader` fills
the tree.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from penstock.settings.secret import Secret

Port = Annotated[int, Meta(ge=1, le=65535)]
Positive = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Century = Annotated[int, Meta(ge=0, le=100 * 366 * 86_400)]
NonEmpty = Annotated[str, Meta(min_length=1)]

ShareGroup = Annotated[
    str,
    Meta(
        pattern=r"^[^+#/$\x00-\x1f]+$",
        max_length=128,
        extra={"words": "text of 1 to 128 characters without + # / $"},
    ),
]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Unknown keys are errors: a misspelt setting must not pass as a default."""


class Tls(_Section, frozen=True):
    """Files for TLS; used when the URL's scheme is `mqtts`, `ssl` or `wss`."""

    ca_file: str | None = None
    """PEM file of the authorities to trust; the system's when absent."""
    cert_file: str | None = None
    """PEM client certificate, for mutual TLS."""
    key_file: str | None = None
    """PEM private key of `cert_file`."""
    verify_hostname: bool = True


class Mqtt(_Section, frozen=True):
    """The broker and the session with it."""

    url: NonEmpty = "mqtt://127.0.0.1:1883"
    """`mqtt://`, `mqtts://`, `ws://` or `wss://` host and port."""
    protocol: Literal["5", "3.1.1"] = "5"
    client_id: Annotated[str, Meta(min_length=1, max_length=128)] = "penstock"
    """Fixed, because the broker keeps the session under it; unique in the broker."""
    share_group: ShareGroup | None = None
    """Subscribe to `$share/{share_group}/…` (MQTT 5 §4.8.2), to share the load with others."""
    username: str | None = None
    password: Secret | None = None
    qos: Literal[0, 1] = 1
    """Highest QoS to subscribe with. QoS 2 publishers are granted 1: storage is idempotent."""
    receive_maximum: Annotated[int, Meta(ge=1, le=65535)] = 20_000
    """Messages of QoS 1 in flight before the broker waits for a PUBACK (MQTT 5 §3.1.2.11.3)."""
    session_expiry_seconds: Annotated[int, Meta(ge=0, le=4294967295)] = 604_800
    """How long the broker keeps the session and its queue while the daemon is away."""
    keepalive_seconds: Annotated[int, Meta(ge=5, le=65535)] = 30
    connect_timeout_seconds: Seconds = 10.0
    retained: Literal["never", "new", "always"] = "never"
    """Retained messages to ask for on subscribing: none, only on a new session, or always."""
    reconnect_min_seconds: Seconds = 0.25
    reconnect_max_seconds: Seconds = 5.0
    tls: Tls = Tls()


class TimeBounds(_Section, frozen=True):
    """How far a reading's timestamp may be from the time of receipt."""

    future_seconds: Century = 3_600
    past_seconds: Century = 90 * 86_400


class Route(_Section, frozen=True):
    """Which topics to take, and how to read their payloads."""

    topic: NonEmpty
    """Template such as `devices/{tenant}/{device}/telemetry`."""
    format: Literal["envelope", "flat", "scalar"] = "envelope"
    tenant: str | None = None
    """Fixed tenant, for a template without `{tenant}`."""
    device: str | None = None
    """Fixed device, for a template without `{device}`."""
    metric: str | None = None
    """Fixed metric of a `scalar` route whose template has no `{metric}`."""
    timestamp_path: str | None = None
    """Dotted path of the timestamp in a `flat` payload."""
    ignore_paths: tuple[str, ...] = ()
    """Dotted paths of a `flat` payload that are not readings; a path covers all below it."""
    time: TimeBounds = TimeBounds()


class Limits(_Section, frozen=True):
    """Bounds on one message."""

    payload_bytes: Annotated[int, Meta(ge=1, le=268_435_455)] = 262_144
    metrics: Positive = 1_000
    depth: Annotated[int, Meta(ge=1, le=100)] = 16
    name_characters: Annotated[int, Meta(ge=1, le=128)] = 128
    text_bytes: Positive = 8_192
    """Longest string value."""
    dead_letter_bytes: Positive = 1_048_576
    """A longer payload is kept in its dead letter up to this length only."""


class Storage(_Section, frozen=True):
    """The database and how it is written to."""

    dsn: Annotated[Secret, Meta(extra={"literal": True})] = Secret("postgresql:///penstock")
    """May stand in the file as it is, unlike other secrets: most need no password."""
    writers: Annotated[int, Meta(ge=1, le=64)] = 2
    batch_rows: Annotated[int, Meta(ge=1, le=1_000_000)] = 5_000
    batch_bytes: Positive = 8_388_608
    flush_interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 100
    """Oldest age of an unsealed batch."""
    queue_rows: Positive = 100_000
    queue_bytes: Positive = 67_108_864
    timeout_seconds: Seconds = 30.0
    """Limit of every wait on the database: connect, acquire, COPY, commit."""
    retry_min_seconds: Seconds = 0.1
    retry_max_seconds: Seconds = 2.0
    migrate_on_start: bool = True


class Registry(_Section, frozen=True):
    """Tenants, devices and series."""

    auto_register: bool = True
    """Create tenants and devices on first sight; otherwise unknown devices are dead-lettered."""
    refresh_seconds: Seconds = 10.0
    """How often registered devices are read again when `auto_register` is off."""
    max_series: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 1_000_000
    """Series held in memory before the cache starts anew."""


class Spool(_Section, frozen=True):
    """Buffer on the local disk, for batches that the database cannot take now."""

    path: NonEmpty | None = None
    """Its file, in a folder that the daemon's user may write; no buffer when absent."""
    max_bytes: Annotated[int, Meta(ge=1_048_576)] = 10_737_418_240
    """Quota of all batches in it; its file is a few percent larger."""
    max_age_seconds: Annotated[float, Meta(gt=0)] | None = None
    """It is full, too, when its oldest batch is older than this."""
    when_full: Literal["block", "drop_oldest"] = "block"
    """Hold the broker back, or lose the oldest batches."""
    after_seconds: Seconds = 2.0
    """How long a batch waits for the database's answer before it goes here; half, for its turn."""


class Http(_Section, frozen=True):
    """Health, metrics and statistics."""

    listen: str | None = "127.0.0.1:9464"
    """`host:port`, `[ipv6]:port`, or null to serve nothing."""


class Log(_Section, frozen=True):
    """What is logged, and how it is written."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"
    """`auto` is console on a terminal and JSON otherwise."""


class Settings(_Section, frozen=True):
    """The whole configuration."""

    mqtt: Mqtt = Mqtt()
    routes: Annotated[tuple[Route, ...], Meta(min_length=1)] = (
        Route(topic="devices/{tenant}/{device}/telemetry"),
    )
    limits: Limits = Limits()
    storage: Storage = Storage()
    registry: Registry = Registry()
    spool: Spool = Spool()
    http: Http = Http()
    log: Log = Log()
    shutdown_timeout_seconds: Seconds = 30.0
