"""One visit of the doctor: gather all facts at once, then judge them."""

import asyncio
import resource
from pathlib import Path

from penstock.cli.doctor.broker import judge_broker
from penstock.cli.doctor.broker_facts import broker_facts
from penstock.cli.doctor.daemon import judge_daemon
from penstock.cli.doctor.daemon_answer import daemon_facts
from penstock.cli.doctor.database import judge_database
from penstock.cli.doctor.database_facts import database_facts
from penstock.cli.doctor.finding import Finding
from penstock.cli.doctor.spool import SpoolFacts, judge_spool
from penstock.cli.doctor.spool_facts import spool_facts
from penstock.settings.tree import Settings


async def examine(settings: Settings) -> list[Finding]:
    """All findings, part by part; what cannot be reached is one of them."""
    broker, database, daemon = await asyncio.gather(
        broker_facts(settings),
        database_facts(settings),
        asyncio.to_thread(daemon_facts, settings.http.listen),
    )
    return [
        *judge_broker(settings, broker),
        *judge_database(settings, database),
        *judge_spool(settings.spool, _spool(settings), daemon, database.disk),
        *judge_daemon(settings, daemon, resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    ]


def _spool(settings: Settings) -> SpoolFacts | None:
    return None if settings.spool.path is None else spool_facts(Path(settings.spool.path))
