"""Folders short enough for UNIX sockets, which pytest's own are not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import sandbox


@pytest.fixture
def folder() -> Iterator[Path]:
    with sandbox.scratch_folder() as folder:
        yield folder
