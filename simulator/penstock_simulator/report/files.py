"""The files that a run is asked to leave."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from penstock_simulator.report.page import page_of
from penstock_simulator.report.record import Record


class Files(NamedTuple):
    """Where to write a record; nothing is written where it is None."""

    json: Path | None = None
    html: Path | None = None

    def write(self, record: Callable[[], Record]) -> None:
        """Write them, making the record only if somebody wants it.

        Raises:
            OSError: a file could not be written.
        """
        if self.json is None and self.html is None:
            return
        made = record()
        if self.json is not None:
            self.json.write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
        if self.html is not None:
            self.html.write_text(page_of(made), encoding="utf-8")
