"""The tool that ends the daemon at a boundary; that it reaches each, experiment 2 shows."""

import subprocess
import sys
from types import ModuleType

import pytest

from penstock import __version__
from penstock.app.flow import Flow
from penstock.spool.file import SpoolFile
from penstock.spool.replayer import Replayer
from penstock.storage import copying, session
from tests.support import failpoints


@pytest.mark.parametrize(
    ("point", "owner", "function"),
    [
        ("before_copy", copying, "send"),
        ("before_copy_done", copying, "send"),
        ("in_commit", copying, "send"),
        ("before_staged_commit", session, "transaction"),
        ("before_acknowledging_committed", Flow, "_committed"),
        ("before_replaying", Replayer, "_commit"),
        ("before_acknowledging_spooled", Flow, "_spooled"),
        ("in_spool_write", SpoolFile, "_add"),
        ("in_spool_removal", SpoolFile, "_remove"),
    ],
)
def test_a_boundary_that_has_moved_is_an_error(
    point: str, owner: type | ModuleType, function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(owner, function)
    with pytest.raises(SystemExit, match=f"{owner.__name__}.{function} is gone"):
        failpoints.POINTS[point](lambda: None)


def test_a_program_runs_as_under_python_until_a_boundary_is_reached() -> None:
    command = failpoints.command((sys.executable, "-m", "penstock"), "before_copy", passage=1)
    run = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True)
    assert run.stdout == f"penstock {__version__}\n"
