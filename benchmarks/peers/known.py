"""The peers that can be run here, and why the others cannot.

The two scripts come with us, Node-RED is installed by npm, where there is one, into a folder that
git ignores, and Telegraf takes part when the environment names its program.
"""

import filecmp
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.frame import BenchError
from benchmarks.peers.running import Peer

PLAIN, BATCHING, NODE_RED = "aiomqtt script", "aiomqtt script, batching", "Node-RED"
TELEGRAF = "Telegraf"
TELEGRAF_VARIABLE = "TELEGRAF_BIN"

_INSTALL_SECONDS = 600.0
_HERE = Path(__file__).parent
_NODE_RED_FILES = _HERE / "node_red"
_NODE_RED = _HERE.parents[1] / ".sandbox" / "node-red"


def _script(name: str, folder: Path) -> Sequence[str | Path]:
    del folder
    return [sys.executable, _HERE / name]


SCRIPTS = (
    Peer(PLAIN, partial(_script, "plain_script.py")),
    Peer(BATCHING, partial(_script, "batching_script.py")),
)


class Known(NamedTuple):
    """Who takes part, and who does not."""

    peers: Sequence[Peer]
    left_out: Sequence[str]
    """Sentences that say who, and why."""


def known_peers() -> Known:
    """All that can be run here; installs what can be installed."""
    peers = list(SCRIPTS)
    left_out = []
    try:
        _install_node_red()
        peers.append(Peer(NODE_RED, _node_red))
    except BenchError as error:
        left_out.append(f"Node-RED was left out: {error}")
    telegraf = shutil.which(os.environ.get(TELEGRAF_VARIABLE, ""))
    if telegraf:
        peers.append(Peer(TELEGRAF, partial(_telegraf, telegraf), unique=False))
    else:
        left_out.append(f"Telegraf was left out: {TELEGRAF_VARIABLE} does not name its program.")
    return Known(peers, left_out)


def _node_red(folder: Path) -> Sequence[str | Path]:
    shutil.copy(_NODE_RED_FILES / "flows.json", folder)
    return [
        "node",
        _NODE_RED / "node_modules" / "node-red" / "red.js",
        *("--userDir", folder, "--settings", _NODE_RED / "settings.js"),
    ]


def _telegraf(program: str, folder: Path) -> Sequence[str | Path]:
    del folder
    return [program, "--config", _HERE / "telegraf.conf"]


def _install_node_red() -> None:
    """Install exactly what the lock file says, unless that is installed.

    What npm has to say goes to the terminal alone: it may hold paths and hosts of this machine.

    Raises:
        BenchError: it could not be installed; the text says why, fit to be published.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise BenchError("there is no npm, or no Node.js.")
    if _is_installed():
        return
    shutil.rmtree(_NODE_RED, ignore_errors=True)
    shutil.copytree(_NODE_RED_FILES, _NODE_RED)
    try:
        subprocess.run([npm, "ci"], cwd=_NODE_RED, check=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError("npm could not install it.") from error


def _is_installed() -> bool:
    """Whether npm has been through with the files as they are: its own list comes last."""
    names = [path.name for path in _NODE_RED_FILES.iterdir()]
    same, _, _ = filecmp.cmpfiles(_NODE_RED_FILES, _NODE_RED, names, shallow=False)
    return len(same) == len(names) and (_NODE_RED / "node_modules" / ".package-lock.json").exists()
