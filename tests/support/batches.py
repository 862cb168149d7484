"""Batches made by hand for the pipeline's tests."""

import numpy as np

from penstock.errors import Reason
from penstock.model import (
    GOOD_QUALITY,
    Batch,
    DeadLetter,
    NumberColumns,
    SeriesIndex,
    SeriesKey,
    TextColumns,
)

FIRST_TS_US = 1_790_000_000_000_000


def dead_letter(payload: bytes = b"?", tenant: str | None = None) -> DeadLetter:
    return DeadLetter(
        received_us=FIRST_TS_US,
        topic="devices/t/d/telemetry",
        payload=payload,
        reason=Reason.MALFORMED,
        detail="not JSON",
        tenant=tenant,
    )


def batch_of(
    *,
    rows: int,
    number: int = 1,
    texts: int = 0,
    dead_letters: int = 0,
    size_bytes: int = 1,
    tenants: int = 1,
) -> Batch:
    """A batch whose numeric row `i` has the value `i` and whose text row `i` has `str(i)`."""
    index = SeriesIndex()
    for tenant in range(tenants):
        index.add(SeriesKey(f"t{tenant}", "d", "m"))
    return Batch(
        number=number,
        index=index,
        numbers=NumberColumns(
            series=np.arange(rows, dtype=np.int32) % tenants,
            ts_us=FIRST_TS_US + np.arange(rows, dtype=np.int64),
            value=np.arange(rows, dtype=np.float64),
            quality=np.full(rows, GOOD_QUALITY, dtype=np.int16),
        ),
        texts=TextColumns(
            series=np.arange(texts, dtype=np.int32) % tenants,
            ts_us=FIRST_TS_US + np.arange(texts, dtype=np.int64),
            value=tuple(str(row) for row in range(texts)),
        ),
        dead_letters=[dead_letter() for _ in range(dead_letters)],
        messages=rows + texts + dead_letters,
        size_bytes=size_bytes,
        first_received_us=FIRST_TS_US,
    )
