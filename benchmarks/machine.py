"""Says on what a benchmark ran."""

import os
import platform
from pathlib import Path


def describe_machine() -> str:
    """Processor, cores, load and kernel in a line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    processor = names[0] if names else platform.machine()
    return (
        f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start,"
        f" Linux {platform.release()}, Python {platform.python_version()}"
    )
