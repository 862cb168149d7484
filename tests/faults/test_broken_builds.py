"""The suite can fail: daemons that are broken on purpose do not survive it."""

import re
from pathlib import Path

import pytest

from penstock import sandbox
from tests.faults.catalogue import EXPERIMENTS
from tests.faults.running import run
from tests.faults.servers import Servers
from tests.support.daemon_process import BROKEN

SEED = 1
CAUGHT_BY = [
    ("acknowledge_before_commit", 1, "lost", 10),
    # It stands still, at once or when another writer has had its turn; longer than a busy machine.
    ("insert_without_looking", 9, "a commit was hidden|it never came to rest", 15),
    ("skip_the_fsync", 14, "acknowledged", 10),
    ("forget_before_commit", 2, "lost", 10),
]


@pytest.mark.parametrize(("build", "number", "verdict", "drain_seconds"), CAUGHT_BY)
def test_a_broken_build_is_caught(
    build: str, number: int, verdict: str, drain_seconds: float, tmp_path: Path
) -> None:
    # Servers of its own: what a broken daemon leaves behind is nobody else's.
    with sandbox.scratch_folder() as folder, Servers(folder) as servers:
        result = run(
            EXPERIMENTS[number],
            servers,
            tmp_path,
            SEED,
            long=False,
            command=(*BROKEN, build),
            drain_seconds=drain_seconds,
        )
    assert re.search(verdict, result.verdict), result
