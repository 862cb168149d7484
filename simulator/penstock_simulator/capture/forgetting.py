"""Has a broker forget a session, so that no message waits there for nobody."""

import asyncio
from collections.abc import Sequence

import msgspec

from penstock.clock import SystemClock
from penstock.model import Message
from penstock.mqtt import make_source
from penstock.settings.tree import Mqtt

_ANSWER_SECONDS = 5.0


async def forget(session: Mqtt) -> bool:
    """End a session that no connection has any more; whether the broker has answered.

    It is taken once more, with an expiry of 0: so it ends with the connection (MQTT 5 §3.1.2.11.2),
    or, as a clean session, has ended when the broker answers (MQTT 3.1.1 §3.1.2.4).
    """
    intake = _Deaf()
    source = make_source(
        msgspec.structs.replace(session, session_expiry_seconds=0), (), intake, SystemClock()
    )
    running = asyncio.create_task(source.run(), name="forget")
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            await intake.let_in.wait()
            await source.stop()
    except TimeoutError:
        return intake.let_in.is_set()
    else:
        return True
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class _Deaf:
    """Fulfils `penstock.mqtt.source.Intake`: takes nothing of what has waited."""

    def __init__(self) -> None:
        self.let_in = asyncio.Event()

    def connected(self, connection: int) -> None:  # noqa: ARG002 - fulfils the protocol
        self.let_in.set()

    def accept(self, messages: Sequence[Message]) -> None:
        pass
