"""Every fault in its short form: nothing acknowledged is lost, doubled, invented or altered."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import sandbox
from tests.faults.catalogue import EXPERIMENTS
from tests.faults.running import run
from tests.faults.servers import Servers

SEED = 1


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Servers that are broken and mended by the tests of this file."""
    with sandbox.scratch_folder() as folder, Servers(folder) as servers:
        yield servers


@pytest.mark.parametrize("number", EXPERIMENTS)
def test_penstock_survives(number: int, servers: Servers, tmp_path: Path) -> None:
    result = run(EXPERIMENTS[number], servers, tmp_path, SEED, long=False)
    assert result.verdict == "held", result
    assert result.runs
