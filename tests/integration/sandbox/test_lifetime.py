"""Nothing outlives the process that started it, and nothing ends before it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.sandbox import Broker, scratch_folder
from penstock.sandbox.postgres import _alive, _children
from tests.support.polling import until

OWNER = """
import sys, time
from penstock.sandbox import Broker, Postgres, scratch_folder

with scratch_folder() as folder, Broker(folder / "b") as broker, Postgres(folder / "p") as server:
    print(folder, broker.process_id, server.process_id, flush=True)
    time.sleep(3600)
"""


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have scratch folders where no other process looks for abandoned ones."""
    with tempfile.TemporaryDirectory(prefix="apart-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may run as another user
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield


def started_owner() -> tuple[subprocess.Popen[str], Path, list[int]]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    folder, *servers = owner.stdout.readline().split()
    processes = [int(process_id) for process_id in servers]
    return owner, Path(folder), [*processes, *_children(processes[1])]


async def test_servers_end_with_a_killed_owner_and_its_folder_is_removed_next_time() -> None:
    owner, folder, processes = started_owner()
    assert all(_alive(process_id) for process_id in processes)
    owner.kill()
    owner.communicate()
    await until(lambda: not any(map(_alive, processes)), "the servers of a killed owner end")
    assert folder.exists()
    with scratch_folder():
        assert not folder.exists()


def test_an_interrupted_owner_leaves_nothing() -> None:
    owner, folder, processes = started_owner()
    owner.send_signal(signal.SIGINT)
    owner.communicate()
    assert not any(map(_alive, processes))
    assert not folder.exists()


async def test_servers_outlive_the_thread_that_asked_for_them(folder: Path) -> None:
    broker = Broker(folder / "b")
    thread = threading.Thread(target=broker.start)
    thread.start()
    try:
        await until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists(), "it ends")
        assert broker.running
    finally:
        broker.stop()


def test_a_folder_in_use_is_left_alone_and_removed_with_its_owner() -> None:
    with scratch_folder() as first:
        (first / "file").touch()
        with scratch_folder() as second:
            assert first != second
            assert (first / "file").exists()
        assert not second.exists()
    assert not first.exists()


def test_a_folder_has_a_path_short_enough_for_a_unix_socket() -> None:
    with scratch_folder() as folder:
        relative = folder.relative_to(tempfile.gettempdir())
        assert len(os.fsencode(relative)) < 20
