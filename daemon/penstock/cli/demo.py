"""`penstock demo`: the simulator's demonstration of the whole stack."""

import os
import sys
from importlib.util import find_spec

import typer

from penstock.errors import FatalError

_SIMULATOR = "penstock_simulator"
_MAIN = f"from {_SIMULATOR}.cli import main; main('penstock')"
"""The simulator's command line under our name, which its help and its errors begin with."""

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""Every argument is the simulator's, `--help` too."""


def demo(context: typer.Context) -> None:
    """Run the whole stack privately, with simulated devices.

    A broker, a database, the daemon and the simulator start in a scratch folder; at the end comes
    the account of every reading.
    `penstock demo --help` lists its options.
    """
    if find_spec(_SIMULATOR) is None:
        raise FatalError(
            "the simulator is not part of this installation; install penstock as a whole"
        )
    # The daemon never imports its simulator: the process becomes the simulator's own.
    os.execv(sys.executable, [sys.executable, "-c", _MAIN, "demo", *context.args])  # noqa: S606
