"""What happens to the daemon's process."""

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial

catalogue = Catalogue()


@catalogue.experiment(1, "kill -9 of the daemon at seeded moments under load")
def kill_the_daemon(trial: Trial) -> None:
    with trial.under_load():
        for _ in trial.times(short=3, long=200):
            trial.wait(0.05, 0.8)
            trial.daemon.kill()
            trial.daemon.start()
