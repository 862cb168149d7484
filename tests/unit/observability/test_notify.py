"""systemd hears what sd_notify(3) says it should, over a real socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.observability.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        yield receiver


def notifier(manager: socket.socket, **environ: str) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.getsockname(), **environ})


def test_ready_and_stopping_carry_a_status(manager: socket.socket) -> None:
    notifier(manager).ready("subscribed to\n3 filters")
    assert manager.recv(4096) == b"READY=1\nSTATUS=subscribed to 3 filters"
    notifier(manager).stopping()
    assert manager.recv(4096) == b"STOPPING=1\nSTATUS=draining"
    notifier(manager).status("25 readings/s \u2713")
    assert manager.recv(4096) == "STATUS=25 readings/s \u2713".encode()


def test_the_watchdog_is_fed_when_it_is_asked_for(manager: socket.socket) -> None:
    fed = notifier(manager, WATCHDOG_USEC="20000000", WATCHDOG_PID=str(os.getpid()))
    assert fed.watchdog_seconds == 20.0
    fed.watchdog()
    assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"},
    ],
)
def test_no_watchdog_is_fed_that_is_not_ours(
    manager: socket.socket, environ: dict[str, str]
) -> None:
    unfed = notifier(manager, **environ)
    assert unfed.watchdog_seconds is None
    unfed.watchdog()
    unfed.status("last")
    assert manager.recv(4096) == b"STATUS=last"


def test_a_name_that_begins_with_an_at_sign_is_in_the_abstract_namespace() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        name = f"penstock-test-{os.getpid()}"
        receiver.bind(f"\0{name}")
        receiver.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert receiver.recv(4096).startswith(b"READY=1")


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/at/all", "@", "/" + "x" * 200])
def test_without_a_manager_nothing_happens(name: str) -> None:
    Notifier({"NOTIFY_SOCKET": name}).ready()
    Notifier({}).ready()


def test_a_manager_that_does_not_read_holds_nobody_up(manager: socket.socket) -> None:
    deaf = notifier(manager)
    for _ in range(10_000):
        deaf.status("x" * 100)


def test_the_environment_of_the_process_names_the_manager(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    Notifier.from_environment().status("here")
    assert manager.recv(4096) == b"STATUS=here"
