"""Chooses the source that fits the configuration."""

import random
from collections.abc import Sequence

from penstock.clock import Clock
from penstock.errors import ConfigError
from penstock.mqtt import wire
from penstock.mqtt.compat import CompatSource
from penstock.mqtt.source import Intake, Source
from penstock.mqtt.tcp import TcpSource
from penstock.mqtt.tls import tls_context
from penstock.settings.mqtt_url import parse_url
from penstock.settings.tree import Mqtt


def make_source(
    settings: Mqtt,
    filters: Sequence[str],
    intake: Intake,
    clock: Clock,
    *,
    largest_payload_bytes: int = wire.LARGEST_REMAINING_BYTES,
) -> Source:
    """A source of the messages under `filters`, plain MQTT filters without a share prefix.

    A payload over `largest_payload_bytes` that comes in pieces may be cut down to that, so that no
    sender decides how much memory is used: give the longest payload of which the rest matters.

    Errors: `ConfigError` when the URL or a TLS file cannot be used.
    """
    try:
        endpoint = parse_url(settings.url)
    except ValueError as error:
        raise ConfigError(f"mqtt.url: {error}") from None
    if endpoint.tls:
        tls_context(settings)  # each connection reads the files; a fault is to be seen at the start
    if settings.protocol == "3.1.1" or endpoint.websocket_path is not None:
        return CompatSource(settings, endpoint, filters, intake, clock, random.random)
    return TcpSource(
        settings,
        endpoint,
        filters,
        intake,
        clock,
        random.random,
        largest_payload_bytes=largest_payload_bytes,
    )
