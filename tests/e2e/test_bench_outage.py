"""The benchmark measures a real outage of a real database."""

import os

import pytest

from benchmarks.outage import measure_once
from penstock.sandbox.endpoints import DSN_VARIABLE


@pytest.mark.skipif(DSN_VARIABLE in os.environ, reason="needs a database server of its own")
def test_an_outage_is_measured_until_its_backlog_has_drained() -> None:
    outage = measure_once(seconds=3, rate=1_000, before_seconds=2)
    readings = 3 * 1_000 * 3
    assert outage.backlog_rows >= readings / 2
    assert outage.most_bytes >= outage.before_bytes > 0
    assert len(outage.live_waits_us) > 0
    killed, due, committed = outage.course
    away = killed + 2  # a whole second without a database, however long it took to kill it
    assert due[away] > 0
    assert committed[away] == 0
