"""The suite can fail: daemons that are broken on purpose do not survive it."""

from pathlib import Path

import pytest

from penstock import sandbox
from tests.faults.catalogue import EXPERIMENTS
from tests.faults.running import run
from tests.faults.servers import Servers
from tests.support.daemon_process import BROKEN

SEED = 1
DRAIN_SECONDS = 10.0

CAUGHT_BY = [
    ("acknowledge_before_commit", 1, "lost"),
    ("insert_without_looking", 9, "a commit was hidden"),
    ("skip_the_fsync", 14, "acknowledged"),
    ("forget_before_commit", 2, "lost"),
]


@pytest.mark.parametrize(("build", "number", "verdict"), CAUGHT_BY)
def test_a_broken_build_is_caught(build: str, number: int, verdict: str, tmp_path: Path) -> None:
    # Servers of its own: what a broken daemon leaves behind is nobody else's.
    with sandbox.scratch_folder() as folder, Servers(folder) as servers:
        result = run(
            EXPERIMENTS[number],
            servers,
            tmp_path,
            SEED,
            long=False,
            command=(*BROKEN, build),
            drain_seconds=DRAIN_SECONDS,
        )
    assert verdict in result.verdict, result
