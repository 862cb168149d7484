"""`penstock spool` on spools without a daemon, and beside one."""

import json
import os
import pwd
from pathlib import Path

import pytest

from penstock.cli.exits import ExitCode
from penstock.spool.file import SpoolFile
from penstock.spool.lock import SpoolLock
from tests.support.batches import batch_of
from tests.support.command_line import penstock, write_config
from tests.support.publishing import rows_of
from tests.support.spooling import damage, record_of

NOWHERE = "postgresql://nobody@127.0.0.1:1/nowhere"


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool with three batches: 60 numbers, 6 texts and 3 dead letters."""
    path = tmp_path / "spool.db"
    file = SpoolFile(path)
    records = []
    for number in (1, 2, 3):
        batch = batch_of(rows=20, texts=2, dead_letters=1, tenants=2)
        batch.numbers.ts_us[:] += number * 1_000_000
        batch.texts.ts_us[:] += number * 1_000_000
        records.append(record_of(number, batch))
    file.write(records, [])
    file.close()
    return path


def config_for(folder: Path, spool: Path, **sections: object) -> Path:
    return write_config(folder, spool={"path": str(spool)}, **sections)


def test_status_says_what_is_in_it(tmp_path: Path, spool: Path) -> None:
    done = penstock("spool", "status", "--config", config_for(tmp_path, spool))
    assert done.status == ExitCode.OK
    assert "daemon    not running" in done.lines
    assert any("3 batches, 69 rows" in line for line in done.lines)
    assert "          t0: 33" in done.lines
    assert "          (no tenant): 3" in done.lines


def test_a_spool_that_is_held_is_asked_of_the_daemon_and_else_left_alone(
    tmp_path: Path, spool: Path
) -> None:
    config = config_for(tmp_path, spool, http={"listen": None})
    lock = SpoolLock(spool)
    try:
        for command in ("status", "drain", "verify", "export"):
            done = penstock("spool", command, "--config", config)
            assert done.status == ExitCode.FATAL
            assert "spool" in done.errors
    finally:
        lock.release()


def test_verify_finds_nothing_wrong_with_a_sound_spool(tmp_path: Path, spool: Path) -> None:
    done = penstock("spool", "verify", "--config", config_for(tmp_path, spool))
    assert done.status == ExitCode.OK
    assert done.lines == ["3 of 3 batches are sound, with 69 rows"]


@pytest.mark.parametrize(
    "sql",
    [
        "update batches set body = x'00' where number = 2",
        "update batches set label = x'00' where number = 2",
        "delete from counts",
    ],
)
def test_verify_finds_damage_and_changes_nothing(tmp_path: Path, spool: Path, sql: str) -> None:
    damage(spool, sql)
    before = spool.read_bytes()
    done = penstock("spool", "verify", "--config", config_for(tmp_path, spool))
    assert done.status == ExitCode.REFUSED
    assert "damaged" in done.output
    assert spool.read_bytes() == before


def test_export_prints_everything_that_is_sound(tmp_path: Path, spool: Path) -> None:
    damage(spool, "update batches set body = x'00' where number = 2")
    done = penstock("spool", "export", "--file", spool)
    assert done.status == ExitCode.OK
    assert "batch 2 is damaged and left out" in done.errors
    lines = [json.loads(line) for line in done.lines]
    assert len(lines) == 2 * 23
    assert lines[0] == {
        "tenant": "t0", "device": "d", "metric": "m", "ts": "2026-09-21T14:13:21Z",
        "value": 0.0, "quality": 192,
    }  # fmt: skip
    assert {line["reason"] for line in lines if "reason" in line} == {"malformed"}


def test_export_prints_what_can_be_read_of_a_file_whose_structure_is_damaged(spool: Path) -> None:
    with spool.open("r+b") as file:
        file.write(b"\xff" * 16_384)
    done = penstock("spool", "export", "--file", spool)
    assert done.status == ExitCode.OK
    assert "what can be read of it follows" in done.errors
    assert len(done.lines) == 3 * 23


def test_drain_stores_everything_and_empties_the_spool(
    tmp_path: Path, spool: Path, database: str
) -> None:
    config = config_for(tmp_path, spool, storage={"dsn": database})
    assert penstock("migrate", "--config", config).status == ExitCode.OK
    done = penstock("spool", "drain", "--config", config)
    assert done.status == ExitCode.OK, done.errors
    assert "66 readings stored, 0 were there already, 3 dead letters" in done.output
    assert rows_of(database, "select count(*) from telemetry") == [(60,)]
    assert rows_of(database, "select count(*) from telemetry_text") == [(6,)]
    assert rows_of(database, "select count(*) from dead_letters") == [(3,)]
    assert "0 batches" in penstock("spool", "status", "--config", config).output


def test_drain_without_a_database_leaves_the_spool_as_it_is(tmp_path: Path, spool: Path) -> None:
    config = config_for(tmp_path, spool, storage={"dsn": NOWHERE})
    done = penstock("spool", "drain", "--config", config)
    assert done.status == ExitCode.FATAL
    assert "the database does not take what is in the spool" in done.errors
    assert "3 batches" in penstock("spool", "status", "--config", config).output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can open what is another user's")
@pytest.mark.parametrize("command", ["status", "drain", "verify", "export"])
def test_root_is_told_to_leave_another_users_spool_to_that_user(
    tmp_path_factory: pytest.TempPathFactory, spool: Path, command: str
) -> None:
    """Whoever has the folder: here the daemon may write to it through its group, say."""
    owner = pwd.getpwnam("nobody")
    os.chown(spool, owner.pw_uid, owner.pw_gid)
    before = {path.name: path.stat() for path in spool.parent.iterdir()}
    config = config_for(tmp_path_factory.mktemp("etc"), spool, storage={"dsn": NOWHERE})
    done = penstock("spool", command, "--config", config)
    assert done.status == ExitCode.FATAL
    assert "runuser -u nobody -- penstock spool" in done.errors
    after = {path.name: path.stat() for path in spool.parent.iterdir()}
    assert {name: stat.st_uid for name, stat in after.items()} == {
        name: stat.st_uid for name, stat in before.items()
    }
    assert after[spool.name].st_mtime_ns == before[spool.name].st_mtime_ns


def test_a_lock_that_leads_elsewhere_is_not_followed(tmp_path: Path, spool: Path) -> None:
    other = tmp_path / "other"
    other.write_text("something")
    (tmp_path / "spool.db.lock").symlink_to(other)
    assert (
        penstock("spool", "status", "--config", config_for(tmp_path, spool)).status != ExitCode.OK
    )
    assert other.read_text() == "something"


def test_without_a_spool_there_is_nothing_to_do(tmp_path: Path) -> None:
    done = penstock("spool", "status", "--config", write_config(tmp_path))
    assert (done.status, "spool.path" in done.errors) == (ExitCode.CONFIG, True)
    config = config_for(tmp_path, tmp_path / "none.db")
    assert penstock("spool", "verify", "--config", config).status == ExitCode.CONFIG
    assert not (tmp_path / "none.db").exists()
