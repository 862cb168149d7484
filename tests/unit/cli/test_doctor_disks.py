"""What the doctor sees of disks, of a spool it does not open, and of what is no daemon."""

import http.server
import os
import pwd
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.cli.doctor.daemon_answer import daemon_facts
from penstock.cli.doctor.disks import disk_of
from penstock.cli.doctor.spool_facts import spool_facts
from penstock.sandbox.ports import LOOPBACK, free_port
from penstock.spool.lock import SpoolLock

SHARED_MEMORY = Path("/dev/shm")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where a spool is to be."""
    return tmp_path / "spool.db"


def test_a_disk_has_the_space_that_the_system_says(tmp_path: Path) -> None:
    disk = disk_of(tmp_path)
    assert disk is not None
    assert disk.total_bytes == shutil.disk_usage(tmp_path).total
    assert 0 <= disk.free_bytes <= disk.total_bytes
    assert disk.kind


@pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="there is no /dev/shm here")
def test_memory_is_told_from_a_disk() -> None:
    disk = disk_of(SHARED_MEMORY)
    assert disk is not None
    assert disk.kind == "tmpfs"


def test_a_folder_that_is_not_there_has_no_disk(tmp_path: Path) -> None:
    assert disk_of(tmp_path / "none") is None


def test_a_spool_to_come_is_looked_at_and_nothing_is_made(spool: Path) -> None:
    facts = spool_facts(spool)
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert (facts.exists, facts.writable, facts.owner, facts.user) == (True, True, me, me)
    assert (facts.file_owner, facts.file_bytes, facts.holder) == (None, 0, None)
    assert facts.disk is not None
    assert list(spool.parent.iterdir()) == []


def test_the_files_of_a_spool_are_measured(spool: Path) -> None:
    for suffix, size in (("", 1000), ("-wal", 20), (".reserve", 3)):
        spool.with_name(spool.name + suffix).write_bytes(b"\0" * size)
    facts = spool_facts(spool)
    assert (facts.file_bytes, facts.reserve_bytes) == (1020, 3)
    assert facts.file_owner == facts.owner


def test_who_holds_a_spool_is_seen_without_trying_its_lock(spool: Path) -> None:
    lock = SpoolLock(spool)
    try:
        assert spool_facts(spool).holder == os.getpid()
    finally:
        lock.release()
    assert spool_facts(spool).holder is None


def test_a_folder_that_is_missing_is_said_to_be(tmp_path: Path) -> None:
    facts = spool_facts(tmp_path / "none" / "spool.db")
    assert (facts.visible, facts.exists, facts.disk) == (True, False, None)


def test_a_folder_in_the_place_of_a_file_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    facts = spool_facts(tmp_path / "file" / "spool.db")
    assert (facts.visible, facts.exists) == (True, False)


@pytest.fixture
def another_program() -> Iterator[str]:
    """The address of a web server that is no daemon."""

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "fine"}')

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.HTTPServer((LOOPBACK, 0), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"{LOOPBACK}:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_program_at_our_address_is_no_daemon(another_program: str) -> None:
    assert daemon_facts(another_program) is None


def test_where_nothing_listens_there_is_no_daemon() -> None:
    assert daemon_facts(f"{LOOPBACK}:{free_port()}") is None
    assert daemon_facts(None) is None
