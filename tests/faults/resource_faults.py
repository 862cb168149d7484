"""What happens when the daemon's process is given no more of something."""

import os
import signal
import time
from pathlib import Path

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.disk import limited
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

NO_DESCRIPTOR_FREE = 3
"""A limit that standard input, output and error use up."""
MOST_DOUBLINGS = 5
"""How often the pile of messages is made larger for a daemon that gets by with its memory."""
DIGESTION_SECONDS = 1.5
DESCRIPTORS_LACKING = "Too many open files"


@catalogue.experiment(21, "memory limit reached; no file descriptors left")
def starve_the_daemon(trial: Trial) -> None:
    proxy = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=proxy.through(trial.dsn))
    with trial.under_load():
        for _ in trial.times(short=1, long=20):
            trial.wait(0.1, 0.5)
            _take_its_memory(trial)
        for _ in trial.times(short=1, long=20):
            trial.wait(0.1, 0.5)
            _take_its_descriptors(trial, proxy)


def _take_its_memory(trial: Trial) -> None:
    """Give it no more than it has, until it needs more; it ends, and is started again."""
    daemon, process_id = trial.daemon, trial.daemon.process_id
    with limited(process_id, "RLIMIT_AS", _address_space_bytes(process_id)):
        for doublings in range(MOST_DOUBLINGS):
            # While it stands still, messages pile up before it.
            os.kill(process_id, signal.SIGSTOP)
            time.sleep(0.5 * 2**doublings)
            os.kill(process_id, signal.SIGCONT)
            if not _serves_on(daemon):
                break
    hangs = daemon.running and daemon.get("/health/live")[0] == 0
    if hangs:
        # CPython 3.11 may spin for ever when there is no memory to handle an exception. Under the
        # unit that we ship, systemd's watchdog does this.
        daemon.kill()
    else:
        trial.expect(not daemon.running, "it has run out of memory")
        trial.expect(daemon.stop() == 1, "it says that it failed, for whoever restarts it")
    daemon.start()


def _serves_on(daemon: DaemonProcess) -> bool:
    """Whether it has digested what it got."""
    try:
        wait_until(lambda: not daemon.running, "", within_seconds=DIGESTION_SECONDS)
    except AssertionError:
        return daemon.get("/health/live")[0] == 200
    return False


def _take_its_descriptors(trial: Trial, proxy: TcpProxy) -> None:
    """Cut its connections while it cannot open others; it goes on by itself."""
    daemon, process_id = trial.daemon, trial.daemon.process_id
    before = _refusals(trial)
    with limited(process_id, "RLIMIT_NOFILE", NO_DESCRIPTOR_FREE):
        proxy.cut()
        trial.broker_proxy.cut()
        wait_until(lambda: _refusals(trial) >= before + 2, "it cannot open connections")
        trial.wait(0.2, 1.0)
    trial.recover()
    trial.expect(daemon.running and daemon.process_id == process_id, "it runs without a restart")


def _refusals(trial: Trial) -> int:
    """How often it has said that it cannot reach the broker or the database for this reason."""
    return trial.daemon.log_path.read_text().count(DESCRIPTORS_LACKING)


def _address_space_bytes(process_id: int) -> int:
    """All that a process has mapped (proc(5), `statm`)."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text().split()[0])
    return pages * os.sysconf("SC_PAGE_SIZE")
