"""The publisher's own account: which slots it sent, when, and when the broker answered.

A ledger file holds the fleet, the schedule and, for each lane of the process that wrote it, one
row a slot from slot 0 on without gaps. It is a numpy `.npz` archive without pickles, so any process
can read it at any time later. Several processes that publish parts of one fleet write a file each;
`load` joins them.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar
from zipfile import BadZipFile

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.schedule import Schedule

WAITING, ACKNOWLEDGED, REFUSED = range(3)
"""What became of a slot: no answer yet, PUBACK with success, PUBACK with a reason of failure."""

Scalar = TypeVar("Scalar", bound=np.generic)

_FIRST_CAPACITY = 16


class LedgerError(Exception):
    """A ledger file is not one, or does not belong with the others; the text says which."""


class LaneLedger:
    """One lane's slots, in columns that grow.

    Args:
        columns: what `save` wrote of a lane; nothing was sent without them.
        started_us: when the run began that the lane's schedule counts from, in µs since the epoch.
    """

    __slots__ = ("_answered_us", "_outcome", "_sent_us", "sent", "started_us")

    def __init__(self, columns: "Columns | None" = None, *, started_us: int = 0) -> None:
        if columns is None:
            columns = Columns(_NO_TIMES, _NO_TIMES, _NO_OUTCOMES)
        self._sent_us, self._answered_us, self._outcome = columns
        self.sent = len(self._sent_us)
        """How many slots were sent."""
        self.started_us = started_us

    @property
    def sent_us(self) -> Numbers:
        """When each slot was first handed to the socket, in µs since the Unix epoch."""
        return self._sent_us[: self.sent]

    @property
    def answered_us(self) -> Numbers:
        """When the broker's answer to each slot was read, likewise; 0 where there is none."""
        return self._answered_us[: self.sent]

    @property
    def outcome(self) -> NDArray[np.uint8]:
        """What became of each slot."""
        return self._outcome[: self.sent]

    @property
    def columns(self) -> "Columns":
        """All of it."""
        return Columns(self.sent_us, self.answered_us, self.outcome)

    def append(self, count: int, now_us: int) -> None:
        """Note that the next `count` slots were sent now."""
        stop = self.sent + count
        if stop > len(self._sent_us):
            capacity = max(_FIRST_CAPACITY, 2 * stop)
            self._sent_us = _grown(self._sent_us, capacity)
            self._answered_us = _grown(self._answered_us, capacity)
            self._outcome = _grown(self._outcome, capacity)
        self._sent_us[self.sent : stop] = now_us
        self.sent = stop

    def settle(self, slots: int | Numbers, outcome: int, now_us: int) -> None:
        """Note the broker's answer to slots that were sent."""
        self._outcome[slots] = outcome
        self._answered_us[slots] = now_us


class Columns(NamedTuple):
    """One row a slot, from slot 0 on."""

    sent_us: Numbers
    answered_us: Numbers
    outcome: NDArray[np.uint8]


_NO_TIMES = np.zeros(0, dtype=np.int64)
_NO_OUTCOMES = np.zeros(0, dtype=np.uint8)


class Ledger(NamedTuple):
    """What a run sent."""

    fleet: Fleet
    lanes: Mapping[int, LaneLedger]
    schedule: Schedule | None = None
    """When each slot was due; None for a run that published as fast as it could."""

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

    def due_us(self, number: int) -> Numbers:
        """When each slot that lane `number` sent should have been, in µs since the Unix epoch.

        It follows from the schedule alone, however late the slot was sent. In a run without a
        schedule a slot is due when it is sent.
        """
        lane = self.lanes[number]
        if self.schedule is None:
            return lane.sent_us
        slots = np.arange(lane.sent, dtype=np.int64)
        return lane.started_us + self.schedule.due_us(number, slots)


def save(ledger: Ledger, path: Path) -> None:
    """Write a ledger file; it appears whole or not at all.

    The columns of all lanes stand one after the other in few arrays, since there can be 20,000.
    """
    lanes = ledger.lanes.values()
    joined = [
        np.concatenate(parts) for parts in zip(*(lane.columns for lane in lanes), strict=True)
    ]
    columns: dict[str, NDArray[np.generic]] = {
        "fleet": np.frombuffer(msgspec.json.encode(ledger.fleet), dtype=np.uint8),
        "schedule": np.frombuffer(msgspec.json.encode(ledger.schedule), dtype=np.uint8),
        "lane": np.array(list(ledger.lanes), dtype=np.int64),
        "started_us": np.array([lane.started_us for lane in lanes], dtype=np.int64),
        "sent": np.array([lane.sent for lane in lanes], dtype=np.int64),
        **dict(zip(Columns._fields, joined, strict=True)),
    }
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
    schedule: Schedule | None = None
    lanes: dict[int, LaneLedger] = {}
    for path in paths:
        part = _load_part(path)
        if fleet is not None and (part.fleet, part.schedule) != (fleet, schedule):
            raise LedgerError(f"{path} is of another run than the ledgers before it")
        if not lanes.keys().isdisjoint(part.lanes):
            raise LedgerError(f"{path} has lanes that an earlier ledger has too")
        fleet, schedule = part.fleet, part.schedule
        lanes.update(part.lanes)
    if fleet is None:
        raise LedgerError("no ledger was given")
    return Ledger(fleet, lanes, schedule)


def _load_part(path: Path) -> Ledger:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            fleet = msgspec.json.decode(archive["fleet"].tobytes(), type=Fleet)
            schedule = msgspec.json.decode(archive["schedule"].tobytes(), type=Schedule | None)
            ends = np.cumsum(archive["sent"])[:-1]
            columns = [np.split(archive[name], ends) for name in Columns._fields]
            lanes = {
                int(number): LaneLedger(Columns(*parts), started_us=int(started_us))
                for number, started_us, *parts in zip(
                    archive["lane"], archive["started_us"], *columns, strict=True
                )
            }
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, msgspec.MsgspecError) as error:
        raise LedgerError(f"{path} is not a ledger: {error}") from error
    return Ledger(fleet, lanes, schedule)


def _grown(column: NDArray[Scalar], capacity: int) -> NDArray[Scalar]:
    grown = np.zeros(capacity, dtype=column.dtype)
    grown[: len(column)] = column
    return grown
