"""Says on what a run ran: the machine, the versions, the command line."""

import os
import platform
import re
import shlex
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from penstock_simulator.report.record import Machine

_PACKAGES = ("penstock", "mqtt5", "numpy", "uvloop")


def this_machine() -> Machine:
    """The machine that the simulator runs on."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=f"{platform.system()} {platform.release()}",
        load=round(os.getloadavg()[0], 2),
    )


def versions() -> dict[str, str]:
    """The versions of what the simulator is made of."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def command_line(program: str, arguments: Sequence[str]) -> str:
    """A command line as it can be typed again, but for its passwords, which are masked."""
    return without_passwords(shlex.join([program, *arguments]))


def without_passwords(text: str) -> str:
    """The text with the passwords of its URLs masked, wherever a URL can have one."""
    text = re.sub(r"(//[^/@:\s]*):[^/@\s]*@", r"\1:***@", text)
    return re.sub(r"([?&]password=)[^&\s']*", r"\1***", text)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
