"""What the joined stages do at the end, beside what their machine shows (tests/unit/pipeline)."""

from collections.abc import Iterator
from pathlib import Path

import mqtt5
import pytest
import structlog
from structlog.testing import capture_logs

from penstock.app.flow import Flow
from penstock.clock import SystemClock
from penstock.errors import Retryable
from penstock.model import Batch
from penstock.observability.metrics import Metrics, SealCause
from penstock.pipeline.store import Stored
from penstock.settings.tree import Settings
from penstock.settings.tree import Spool as SpoolSettings


class NoDatabase:
    """Never asked: the movers do not run."""

    async def store(self, batch: Batch) -> Stored:
        raise Retryable(f"batch {batch.number} has no place")

    async def probe(self) -> bool:
        return False


@pytest.fixture(autouse=True)
def standard_loggers() -> Iterator[None]:
    """As the daemon sets them up: they know their level."""
    structlog.configure(
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    yield
    structlog.reset_defaults()


async def test_what_an_end_out_of_time_leaves_is_spooled_and_says_nothing_of_the_database(
    tmp_path: Path,
) -> None:
    clock, database = SystemClock(), NoDatabase()
    metrics = Metrics(clock)
    settings = Settings(spool=SpoolSettings(path=str(tmp_path / "spool.db")))
    flow = Flow(settings, database, database.probe, lambda *_: True, metrics, clock)
    assert flow.spool is not None
    await flow.spool.open()
    try:
        flow.accept([mqtt5.PublishPacket("devices/t/d/telemetry", payload=b'{"metrics":{"m":1}}')])
        flow.intake.seal(SealCause.STOP)
        with capture_logs() as events:
            await flow.rescue()
        assert flow.spool.standing.batches == 1
        assert not flow.queue.unsettled
        assert metrics.ledger.totals().spooled == 1
        assert [event for event in events if event["event"] == "spooling_begins"] == []
    finally:
        await flow.spool.close()
