"""What happens when the daemon's process is given no more of something."""

import signal

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.daemon_process import wait_until
from tests.support.disk import limited
from tests.support.memory import little_memory
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

NO_DESCRIPTOR_FREE = 3
"""A limit that standard input, output and error use up."""
MORE_BYTES = 65_536
"""A daemon at work takes and gives back more than this all the time."""
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
    """Give it hardly more than it has, until the kernel kills it; it is started again."""
    with little_memory(trial.daemon.process_id, MORE_BYTES):
        trial.expect(trial.daemon.wait() == -signal.SIGKILL, "the kernel kills it")
    trial.daemon.start()


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
