"""Makes sure that a client beside the daemon gets a session of its own.

A broker may put a client's id aside for its user name (mosquitto's `use_username_as_clientid`).
Whoever logs in as the daemon does is then given the daemon's session, with what waits in it. What
always holds: nobody's session is ended or emptied to find that out; if it was the daemon's, the
daemon has to connect again.
"""

import asyncio
from random import random

from penstock.backoff import Backoff
from penstock.cli.doctor.listening import finds_a_session
from penstock.cli.doctor.terms import SomebodysSession, ask_terms
from penstock.cli.output import remark
from penstock.errors import FatalError
from penstock.mqtt.refusals import Refusal
from penstock.settings.mqtt_url import parse_url
from penstock.settings.tree import Mqtt


async def until_session_is_own(newcomer: Mqtt) -> None:
    """Return once the broker has given a session of its own to `newcomer`.

    That is the daemon's access, with its session expiry, under a client id that nobody ever had.
    Through aiomqtt the session stays until the same client connects with an expiry of 0: whoever
    gives up before this has returned must not do that, for it may be the daemon's. A broker
    that cannot be reached, or refuses, is told and asked again.
    Errors: `FatalError` when the session is another client's.
    """
    backoff = Backoff(newcomer.reconnect_min_seconds, newcomer.reconnect_max_seconds, random)
    while (refusal := await session_refusal(newcomer)) is not None:
        delay_seconds = backoff.next_seconds()
        remark(f"{refusal}; trying again in {delay_seconds:.1f} s")
        await asyncio.sleep(delay_seconds)


async def session_refusal(newcomer: Mqtt) -> str | None:
    """Why the broker gives no session; `None` when it has given one of its own.

    Errors: as for `until_session_is_own`.
    """
    endpoint = parse_url(newcomer.url)
    if newcomer.protocol == "3.1.1" or endpoint.websocket_path is not None:
        found = await finds_a_session(newcomer, endpoint, newcomer.connect_timeout_seconds)
        if not isinstance(found, bool):
            return found.detail
        theirs = found
    else:
        answer = await ask_terms(newcomer, endpoint)
        if isinstance(answer, Refusal):
            return answer.text
        theirs = isinstance(answer, SomebodysSession)
    if theirs:
        raise FatalError(
            "the broker puts client ids aside and would give us the daemon's session, with what "
            "waits in it: have it use the id that a client gives (in mosquitto, "
            "use_username_as_clientid false), or let this command log in as another user"
        )
    return None
