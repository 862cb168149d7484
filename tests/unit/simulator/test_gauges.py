"""What people are shown of a run is what the daemon's metrics say."""

import pytest

from penstock_simulator.gauges import Gauges, latency_between, read_gauges

EXPOSITION = """\
# HELP penstock_messages_received_total Messages received from the broker.
# TYPE penstock_messages_received_total counter
penstock_messages_received_total{qos="0"} 2.0
penstock_messages_received_total{qos="1"} 40.0
penstock_readings_stored_total{tenant="a b"} 100.0
penstock_readings_stored_total{tenant="c"} 1e3
penstock_dead_letters_total{reason="malformed"} 3.0
penstock_dead_letters_total{reason="bad_value"} 0.0
penstock_queue_rows 7.0
penstock_building_rows 5.0
penstock_queue_rows_limit 100000.0
penstock_publish_to_commit_seconds_bucket{le="0.1"} 10.0
penstock_publish_to_commit_seconds_bucket{le="+Inf"} 20.0
penstock_readings_dead_lettered_total{tenant="a b"} 2.0
penstock_readings_dead_lettered_total{tenant="c"} 1.0
penstock_spool_rows 30.0
penstock_spool_bytes 4096.0
process_cpu_seconds_total 1.5
process_resident_memory_bytes 5.0e+07
"""


def test_metrics_are_summed_over_their_labels() -> None:
    gauges = read_gauges(EXPOSITION)
    assert (gauges.received, gauges.stored) == (42, 1_100)
    assert (gauges.queue_rows, gauges.queue_rows_limit) == (12, 100_000)
    assert gauges.dead_letters == {"malformed": 3}
    assert gauges.latency_buckets == {0.1: 10.0, float("inf"): 20.0}
    assert (gauges.dead_lettered, gauges.spool_rows, gauges.spool_bytes) == (3, 30, 4_096)
    assert (gauges.cpu_seconds, gauges.resident_bytes) == (1.5, 50_000_000)


def test_missing_metrics_are_zero() -> None:
    assert read_gauges("") == Gauges()


BOUNDS = (0.1, 0.2, float("inf"))


def gauges_with(*counts: float) -> Gauges:
    return Gauges(latency_buckets=dict(zip(BOUNDS, counts, strict=True)))


@pytest.mark.parametrize(
    ("counts", "share", "latency"),
    [
        ((100, 100, 100), 0.5, 0.1),
        ((0, 100, 100), 0.5, 0.2),
        ((50, 100, 100), 0.5, 0.1),
        ((49, 100, 100), 0.5, 0.2),
        ((0, 50, 100), 0.99, None),
        ((0, 0, 0), 0.5, None),
    ],
)
def test_latency_is_the_bound_of_a_bucket(
    counts: tuple[float, ...], share: float, latency: float | None
) -> None:
    found = latency_between(Gauges(), gauges_with(*counts), share)
    assert found == latency


def test_latency_is_of_what_came_in_between_alone() -> None:
    before, after = gauges_with(1_000, 1_000, 1_000), gauges_with(1_000, 1_100, 1_100)
    assert latency_between(before, after, 0.5) == 0.2
