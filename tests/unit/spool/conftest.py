"""Spools whose daemon was killed."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.disk import IN_MEMORY
from tests.support.salvaging import FILES, make_killed


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a spool whose daemon was killed: most of its batches are in the log alone."""
    folder = tmp_path_factory.mktemp("killed")
    make_killed(folder)
    return folder


@pytest.fixture
def spool(killed: Path) -> Iterator[Path]:
    """A killed spool that nobody has open."""
    with TemporaryDirectory(prefix="penstock-spool-", dir=IN_MEMORY) as folder:
        for name in FILES:
            shutil.copy(killed / name, folder)
        yield Path(folder, "spool.db")
