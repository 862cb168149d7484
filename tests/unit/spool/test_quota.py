"""How much a spool may hold."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.settings.tree import Spool
from penstock.spool.file import Filed, Standing
from penstock.spool.label import Label
from penstock.spool.quota import Quota

MEBIBYTE = 1_048_576


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, MEBIBYTE)), max_size=20),
    st.integers(1, MEBIBYTE),
    st.integers(1, 100) | st.none(),
)
def test_what_is_dropped_is_the_oldest_and_no_more_than_is_needed(
    records: list[tuple[int, int]], more_bytes: int, max_age_seconds: int | None
) -> None:
    quota = Quota(
        Spool(max_bytes=MEBIBYTE, max_age_seconds=max_age_seconds, when_full="drop_oldest")
    )
    filed = [
        Filed(number, Label(at * 1_000_000, 1, ()), size_bytes)
        for number, (at, size_bytes) in enumerate(records, start=1)
    ]
    total = sum(one.size_bytes for one in filed)
    now_us = 100_000_000
    dropped = quota.surplus(total, filed, more_bytes, now_us)
    kept = filed[len(dropped) :]
    assert dropped == filed[: len(dropped)]
    assert not kept or sum(one.size_bytes for one in kept) + more_bytes <= MEBIBYTE
    if dropped:
        last = dropped[-1]
        fits = sum(one.size_bytes for one in [last, *kept]) + more_bytes <= MEBIBYTE
        old = (
            max_age_seconds is not None and now_us - last.label.received_us > max_age_seconds * 1e6
        )
        assert old or not fits


def test_a_spool_is_full_by_bytes_or_by_age_and_says_by_which() -> None:
    quota = Quota(Spool(max_bytes=MEBIBYTE, max_age_seconds=10))
    standing = Standing(batches=1, rows=1, size_bytes=MEBIBYTE - 5, oldest_us=0, last_number=1)
    assert quota.full(standing, 5, 10_000_000) == ""
    assert "spool.max_bytes" in quota.full(standing, 6, 0)
    assert "spool.max_age_seconds" in quota.full(standing, 5, 10_000_001)
