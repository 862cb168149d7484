"""Gathers what the broker tells a client, in short sessions of the doctor's own."""

import secrets
from collections.abc import Sequence

from msgspec.structs import replace

from penstock.cli.doctor.broker import BrokerFacts, Grants
from penstock.cli.doctor.listening import finds_a_session, listen
from penstock.cli.doctor.terms import SomebodysSession, ask_terms
from penstock.errors import ConfigError
from penstock.mqtt.refusals import Refusal
from penstock.settings.mqtt_url import Endpoint, parse_url
from penstock.settings.tree import Mqtt, Settings
from penstock.topics.filters import widest
from penstock.topics.template import compile_template

_VERSION = "$SYS/broker/version"
_DROPPED = "$SYS/broker/publish/messages/dropped"
_SYSTEM_SECONDS = 2.0
"""How long the broker has to tell of itself; not all do."""


async def broker_facts(settings: Settings) -> BrokerFacts:
    """What is learnt of the broker; that it cannot be reached is a fact, too."""
    endpoint = parse_url(settings.mqtt.url)
    facts = BrokerFacts(place=str(endpoint), websocket=endpoint.websocket_path is not None)
    newcomer = _newcomer(settings.mqtt)
    try:
        facts = await _with_terms(facts, newcomer, endpoint)
        if facts.refusal or facts.client_id_replaced:
            return facts
        filters = widest(compile_template(route.topic).filter for route in settings.routes)
        return await _with_grants(facts, _passing(newcomer), filters)
    except ConfigError as error:
        return replace(facts, refusal=str(error))


def _newcomer(mqtt: Mqtt) -> Mqtt:
    """The daemon's access to the broker under a client id that nobody ever had."""
    return replace(mqtt, client_id=f"penstock-doctor-{secrets.token_hex(4)}")


def _passing(newcomer: Mqtt) -> Mqtt:
    """A session that the broker forgets at once, in a share of its own."""
    return replace(
        newcomer,
        share_group=newcomer.client_id if newcomer.share_group else None,
        session_expiry_seconds=0,
        retained="never",
    )


async def _with_terms(facts: BrokerFacts, newcomer: Mqtt, endpoint: Endpoint) -> BrokerFacts:
    if newcomer.protocol == "3.1.1" or facts.websocket:
        found = await finds_a_session(newcomer, endpoint, newcomer.connect_timeout_seconds)
        if isinstance(found, bool):
            return replace(facts, client_id_replaced=found)
        return replace(facts, refusal=found.detail)
    answer = await ask_terms(newcomer, endpoint)
    if isinstance(answer, Refusal):
        return replace(facts, refusal=answer.text)
    if isinstance(answer, SomebodysSession):
        return replace(facts, client_id_replaced=True)
    return replace(facts, terms=answer)


async def _with_grants(facts: BrokerFacts, passing: Mqtt, filters: Sequence[str]) -> BrokerFacts:
    heard = await listen(passing, filters, 2 * passing.connect_timeout_seconds)
    status = heard.status
    if status.state not in {"connected", "subscribed"}:
        return replace(facts, refusal=status.detail)
    payloads = await _system_payloads(passing)
    return replace(
        facts,
        grants=Grants(len(filters), status.state == "subscribed", status.detail)
        if heard.answered
        else None,
        version=_text(payloads.get(_VERSION)),
        dropped_messages=_count(payloads.get(_DROPPED)),
    )


async def _system_payloads(passing: Mqtt) -> dict[str, bytes]:
    asking = replace(passing, qos=0, share_group=None, retained="always")
    topics = (_VERSION, _DROPPED)
    return (await listen(asking, topics, _SYSTEM_SECONDS, topics)).payloads


def _text(payload: bytes | None) -> str | None:
    return None if payload is None else payload.decode(errors="replace")


def _count(payload: bytes | None) -> int | None:
    text = _text(payload)
    return int(text) if text is not None and text.isdecimal() else None
