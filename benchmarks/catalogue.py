"""All benchmarks, by name, in the order in which they run and are shown."""

from benchmarks.frame import Benchmark
from benchmarks.headroom import measure_headroom
from benchmarks.peers.contest import measure_peers
from benchmarks.readings import measure_readings
from benchmarks.saturation import measure_line_rate
from benchmarks.storage import measure_storage

CATALOGUE = {
    "line-rate": Benchmark("Line rate and latency", measure_line_rate),
    "headroom": Benchmark("Headroom", measure_headroom),
    "storage": Benchmark("Storage", measure_storage),
    "readings": Benchmark("Readings", measure_readings),
    "peers": Benchmark("Peers", measure_peers),
}

SHORT = ("line-rate",)
"""Measured when none is named."""
