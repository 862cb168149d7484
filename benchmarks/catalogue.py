"""All benchmarks, by name, in the order in which they run and are shown."""

from benchmarks.frame import Benchmark
from benchmarks.growth import measure_growth
from benchmarks.headroom import measure_headroom
from benchmarks.latency import measure_latency
from benchmarks.outages import measure_outage
from benchmarks.peers.contest import measure_peers
from benchmarks.readings import measure_readings
from benchmarks.saturation import measure_line_rate
from benchmarks.shared import measure_shared
from benchmarks.storage import measure_storage

CATALOGUE = {
    "line-rate": Benchmark("Line rate", measure_line_rate, minutes=5),
    "headroom": Benchmark("Headroom", measure_headroom, minutes=1),
    "storage": Benchmark("Storage", measure_storage, minutes=4),
    "latency": Benchmark("Latency", measure_latency, minutes=3),
    "readings": Benchmark("Readings", measure_readings, minutes=4),
    "shared": Benchmark("Shared subscriptions", measure_shared, minutes=2),
    "outage": Benchmark("Outage", measure_outage, minutes=3),
    "growth": Benchmark("Growth", measure_growth, minutes=9),
    "peers": Benchmark("Peers", measure_peers, minutes=8),
}

SHORT = ("line-rate",)
"""Measured when none is named."""
