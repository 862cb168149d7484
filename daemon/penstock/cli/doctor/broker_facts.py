"""Gathers what the broker tells a client, in short sessions of the doctor's own."""

import secrets
from collections.abc import Sequence

import msgspec

from penstock.cli.doctor.broker import BrokerFacts, Grants
from penstock.cli.doctor.listening import Heard, finds_a_session, listen
from penstock.cli.doctor.terms import SomebodysSession, ask_terms
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
    facts = await _with_terms(facts, newcomer, endpoint)
    if facts.refusal or facts.client_id_replaced:
        return facts
    filters = widest(compile_template(route.topic).filter for route in settings.routes)
    heard = await _heard(_passing(newcomer), filters)
    if heard.status.state not in ("connected", "subscribed"):
        return msgspec.structs.replace(facts, refusal=heard.status.detail)
    payloads = await _system_payloads(_passing(newcomer))
    return msgspec.structs.replace(
        facts,
        grants=_grants(heard, filters),
        version=_text(payloads.get(_VERSION)),
        dropped_messages=_count(payloads.get(_DROPPED)),
    )


def _newcomer(mqtt: Mqtt) -> Mqtt:
    """The daemon's access to the broker under a client id that nobody ever had."""
    return msgspec.structs.replace(mqtt, client_id=f"penstock-doctor-{secrets.token_hex(4)}")


def _passing(newcomer: Mqtt) -> Mqtt:
    """A session that the broker forgets at once, in a share of its own."""
    return msgspec.structs.replace(
        newcomer,
        share_group=newcomer.client_id if newcomer.share_group else None,
        session_expiry_seconds=0,
        retained="never",
    )


async def _with_terms(facts: BrokerFacts, newcomer: Mqtt, endpoint: Endpoint) -> BrokerFacts:
    change = msgspec.structs.replace
    if newcomer.protocol == "3.1.1" or facts.websocket:
        limit_seconds = newcomer.connect_timeout_seconds
        found = await finds_a_session(newcomer, endpoint, limit_seconds)
        return change(facts, client_id_replaced=found)
    answer = await ask_terms(newcomer, endpoint)
    if isinstance(answer, Refusal):
        return change(facts, refusal=answer.text)
    if isinstance(answer, SomebodysSession):
        return change(facts, client_id_replaced=True)
    return change(facts, terms=answer)


async def _heard(passing: Mqtt, filters: Sequence[str]) -> Heard:
    return await listen(passing, filters, 2 * passing.connect_timeout_seconds)


async def _system_payloads(passing: Mqtt) -> dict[str, bytes]:
    asking = msgspec.structs.replace(passing, qos=0, share_group=None, retained="always")
    topics = (_VERSION, _DROPPED)
    return (await listen(asking, topics, _SYSTEM_SECONDS, topics)).payloads


def _grants(heard: Heard, filters: Sequence[str]) -> Grants:
    return Grants(len(filters), heard.status.state == "subscribed", heard.status.detail)


def _text(payload: bytes | None) -> str | None:
    return None if payload is None else payload.decode(errors="replace")


def _count(payload: bytes | None) -> int | None:
    text = _text(payload)
    return int(text) if text is not None and text.isdecimal() else None
