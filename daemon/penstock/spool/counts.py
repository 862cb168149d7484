"""What a spool holds, in numbers that are kept in the file beside the batches. Pure.

What always holds: the numbers change in the same commit as the batches that they count, and each
has a CRC; so to know what is in a spool takes as long whether it is empty or full.
"""

import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from penstock.spool.label import Label, readings_of_label
from penstock.spool.text import decoded

_COMMITS, _BATCHES, _ROWS, _BYTES = b"commits", b"batches", b"rows", b"bytes"
_TENANT, _NO_TENANT = b"tenant:", b"no tenant"

Row = tuple[bytes, int, int]
"""A name, a number, and the CRC of both."""


class Change:
    """What one commit does to the counts."""

    def __init__(self) -> None:
        self._amounts: Counter[bytes] = Counter({_COMMITS: 1})
        self.removed: Counter[str | None] = Counter()
        """Readings of the records that go, by tenant."""

    def add(self, label: Label, size_bytes: int) -> None:
        """Count a record that comes."""
        self._count(label, size_bytes, 1)

    def remove(self, label: Label, size_bytes: int) -> None:
        """Count a record that goes."""
        self._count(label, size_bytes, -1)
        self.removed.update(readings_of_label(label))

    def rows(self, before: "Counts") -> Iterator[Row]:
        """The rows that become others; those of the amount 0 are to go."""
        for name, difference in self._amounts.items():
            amount = before.amounts.get(name, 0) + difference
            yield name, amount, _crc(name, amount)

    def _count(self, label: Label, size_bytes: int, sign: int) -> None:
        self._amounts[_BATCHES] += sign
        self._amounts[_ROWS] += sign * label.rows
        self._amounts[_BYTES] += sign * size_bytes
        for tenant, readings in label.readings:
            self._amounts[_NO_TENANT if tenant is None else _TENANT + tenant] += sign * readings


class Counts:
    """The numbers of one file at one time; they do not change."""

    def __init__(self, amounts: Mapping[bytes, int]) -> None:
        self.amounts = {name: amount for name, amount in amounts.items() if amount}

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[Any, Any, Any]]) -> Self:
        """Take them as they were read; `ValueError` when they are not what was written."""
        amounts = {}
        for name, amount, crc in rows:
            if not isinstance(name, bytes) or not isinstance(amount, int):
                raise ValueError("what it counts is of another type than what was written")  # noqa: TRY004 - it is damage
            if crc != _crc(name, amount):
                raise ValueError("what it counts is not what was written")
            amounts[name] = amount
        return cls(amounts)

    def after(self, change: Change) -> Self:
        """What they are once a change is committed."""
        return type(self)({**self.amounts, **{name: n for name, n, _ in change.rows(self)}})

    @property
    def commits(self) -> int:
        """Since the file was made, and those before it that it goes on from."""
        return self.amounts.get(_COMMITS, 0)

    @property
    def batches(self) -> int:
        return self.amounts.get(_BATCHES, 0)

    @property
    def rows(self) -> int:
        return self.amounts.get(_ROWS, 0)

    @property
    def size_bytes(self) -> int:
        return self.amounts.get(_BYTES, 0)

    def readings(self) -> dict[str | None, int]:
        """Readings by tenant, a dead letter counting as one."""
        tenants: dict[str | None, int] = {}
        for name, amount in self.amounts.items():
            if name == _NO_TENANT:
                tenants[None] = amount
            elif name.startswith(_TENANT):
                tenants[decoded(name.removeprefix(_TENANT))] = amount
        return tenants


def difference(
    before: Mapping[str | None, int], after: Mapping[str | None, int]
) -> dict[str | None, int]:
    """How many more readings each tenant has after than before; negative when fewer."""
    changed = Counter(after)
    changed.subtract(before)
    return {tenant: readings for tenant, readings in changed.items() if readings}


def _crc(name: bytes, amount: int) -> int:
    return zlib.crc32(b"%d %s" % (amount, name))
