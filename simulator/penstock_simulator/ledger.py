"""The publisher's own account: which slots it sent, when, and which the broker acknowledged.

A ledger file holds the fleet and, for each lane of the process that wrote it, one row a slot from
slot 0 on without gaps. It is a numpy `.npz` archive without pickles, so any process can read it
at any time later. Several processes that publish parts of one fleet write a file each; `load`
joins them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock_simulator.fleet import Fleet, Numbers

WAITING, ACKNOWLEDGED, REFUSED = range(3)
"""What became of a slot: no answer yet, PUBACK with success, PUBACK with a reason of failure."""

Scalar = TypeVar("Scalar", bound=np.generic)

_FIRST_CAPACITY = 4_096


class LedgerError(Exception):
    """A ledger file is not one, or does not belong with the others; the text says which."""


class LaneLedger:
    """One lane's slots, in columns that grow."""

    def __init__(
        self, sent_us: Numbers | None = None, outcome: NDArray[np.uint8] | None = None
    ) -> None:
        self._sent_us = np.zeros(0, dtype=np.int64) if sent_us is None else sent_us
        self._outcome = np.zeros(0, dtype=np.uint8) if outcome is None else outcome
        self.sent = len(self._sent_us)
        """How many slots were sent."""

    @property
    def sent_us(self) -> Numbers:
        """When each slot was first handed to the socket, in µs since the Unix epoch."""
        return self._sent_us[: self.sent]

    @property
    def outcome(self) -> NDArray[np.uint8]:
        """What became of each slot."""
        return self._outcome[: self.sent]

    def append(self, count: int, now_us: int) -> None:
        """Note that the next `count` slots were sent now."""
        stop = self.sent + count
        if stop > len(self._sent_us):
            capacity = max(_FIRST_CAPACITY, 2 * stop)
            self._sent_us = _grown(self._sent_us, capacity)
            self._outcome = _grown(self._outcome, capacity)
        self._sent_us[self.sent : stop] = now_us
        self.sent = stop


class Ledger(NamedTuple):
    """What a run sent."""

    fleet: Fleet
    lanes: Mapping[int, LaneLedger]

    @property
    def published(self) -> int:
        """Messages sent."""
        return sum(lane.sent for lane in self.lanes.values())

    @property
    def acknowledged(self) -> int:
        """Messages that the broker acknowledged."""
        return sum(int((lane.outcome == ACKNOWLEDGED).sum()) for lane in self.lanes.values())

    @property
    def span_us(self) -> tuple[int, int]:
        """When the first and the last message were sent; zeros when none was."""
        times = [lane.sent_us for lane in self.lanes.values() if lane.sent]
        if not times:
            return 0, 0
        return min(int(t[0]) for t in times), max(int(t[-1]) for t in times)


def save(ledger: Ledger, path: Path) -> None:
    """Write a ledger file; it appears whole or not at all."""
    columns: dict[str, NDArray[np.generic]] = {
        "fleet": np.frombuffer(msgspec.json.encode(ledger.fleet), dtype=np.uint8)
    }
    for number, lane in ledger.lanes.items():
        columns[f"sent_us_{number}"] = lane.sent_us
        columns[f"outcome_{number}"] = lane.outcome
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **columns)
    unfinished.replace(path)


def load(paths: Iterable[Path]) -> Ledger:
    """Read the ledger files of one run.

    Raises:
        LedgerError: a file is not a ledger, is of another run, or has a lane that another has too.
    """
    fleet: Fleet | None = None
    lanes: dict[int, LaneLedger] = {}
    for path in paths:
        part = _load_part(path)
        if fleet is not None and part.fleet != fleet:
            raise LedgerError(f"{path} is of another run than the ledgers before it")
        if not lanes.keys().isdisjoint(part.lanes):
            raise LedgerError(f"{path} has lanes that an earlier ledger has too")
        fleet = part.fleet
        lanes.update(part.lanes)
    if fleet is None:
        raise LedgerError("no ledger was given")
    return Ledger(fleet, lanes)


def _load_part(path: Path) -> Ledger:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as columns:
            fleet = msgspec.json.decode(columns["fleet"].tobytes(), type=Fleet)
            prefix = "sent_us_"
            numbers = [int(n.removeprefix(prefix)) for n in columns.files if n.startswith(prefix)]
            lanes = {
                n: LaneLedger(columns[f"sent_us_{n}"], columns[f"outcome_{n}"]) for n in numbers
            }
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, msgspec.MsgspecError) as error:
        raise LedgerError(f"{path} is not a ledger: {error}") from error
    return Ledger(fleet, lanes)


def _grown(column: NDArray[Scalar], capacity: int) -> NDArray[Scalar]:
    grown = np.zeros(capacity, dtype=column.dtype)
    grown[: len(column)] = column
    return grown
