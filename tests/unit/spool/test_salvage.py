"""A damaged spool is salvaged, or left as it is: no crash and no want of room comes in between."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from penstock.observability.metrics import SpoolFaultKind
from penstock.spool import salvage as salvage_module
from penstock.spool.database import PAGE_BYTES
from penstock.spool.faults import SpoolFault
from penstock.spool.file import SpoolFile
from penstock.spool.log import log_of
from penstock.spool.quarantine import sync_folder
from tests.support.damage import flip_bits
from tests.support.salvaging import (
    FILES,
    LARGEST_ON_A_PAGE,
    batch,
    check,
    disk_of,
    drained,
)
from tests.support.spooling import damage, record_of


def closed(folder: Path, batches: int = 20) -> Path:
    """A closed spool, its log copied into it, that never had a mark."""
    path = folder / "spool.db"
    file = SpoolFile(path)
    file.write([record_of(number, batch(number)) for number in range(1, batches + 1)], [])
    file.close()
    assert not log_of(path).exists()
    return path


@pytest.mark.parametrize(
    "sql",
    [
        "update batches set label = x'00' where number = 7",
        "update counts set amount = amount + 1 where name = x'62617463686573'",
        "delete from counts",
    ],
)
def test_damage_to_what_accounts_for_batches_loses_none(tmp_path: Path, sql: str) -> None:
    path = closed(tmp_path)
    damage(path, sql)
    result = drained(path)
    assert sorted(result.found) == list(range(1, 21))
    assert result.salvages == 1


@pytest.mark.parametrize("page", [1, 2, 3, 4])
def test_a_lost_page_loses_what_was_on_it(tmp_path: Path, page: int) -> None:
    path = closed(tmp_path)
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)
    assert len(drained(path).found) >= 20 - LARGEST_ON_A_PAGE
    (aside,) = tmp_path.glob("spool.db.damaged-*")
    assert aside.stat().st_size > 20 * PAGE_BYTES


@pytest.mark.parametrize("content", [b"root:x:0:0\n" * 5_000, b"SQLite format 3\0" * 5_000])
def test_a_file_that_is_no_spool_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spool.db"
    path.write_bytes(content)
    disk = disk_of(path, [])
    for _ in range(2):
        with pytest.raises(SpoolFault) as caught:
            disk.probe()
        assert caught.value.kind is SpoolFaultKind.FOREIGN
        disk.failed(caught.value)
        assert path.read_bytes() == content
    disk.close()


def test_without_room_a_damaged_spool_stays_as_it_is(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.truncate(spool, 0)
    disk = disk_of(spool, [])
    usage = shutil.disk_usage(spool.parent)._replace(free=100_000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        for _ in range(2):
            with pytest.raises(SpoolFault, match="to save what can be read of it needs") as caught:
                disk.read(0, 1, 1)
            disk.failed(caught.value)
    disk.close()
    assert check(drained(spool)) > 0


class Crash(BaseException):
    """The end of the process."""


@pytest.mark.parametrize("moment", range(8))
def test_a_crash_while_salvaging_loses_nothing(
    spool: Path, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each moment that a file gets another name or a new one is opened."""
    truncated = random.Random(5)
    flip_bits([spool], 1, truncated)
    os.truncate(spool, spool.stat().st_size - 2 * PAGE_BYTES)
    left = moment

    def crash_at(function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                raise Crash
            return function(*arguments)

        return wrapped

    expected = Path(spool.parent / "expected" / "spool.db")
    expected.parent.mkdir()
    for name in FILES:
        shutil.copy(spool.with_name(name), expected.with_name(name))
    with monkeypatch.context() as patch, structlog.testing.capture_logs():
        patch.setattr(Path, "replace", crash_at(Path.replace))
        patch.setattr(salvage_module, "sync_folder", crash_at(sync_folder))
        disk = disk_of(spool, [])
        try:
            disk.probe()
        except Crash:
            pass
        else:
            disk.close()
    result = drained(spool)
    check(result)
    assert set(result.found) == set(drained(expected).found)
