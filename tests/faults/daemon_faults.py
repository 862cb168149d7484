"""What happens to the daemon's process."""

from contextlib import nullcontext

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.publishing import locked

catalogue = Catalogue()


@catalogue.experiment(1, "kill -9 of the daemon at seeded moments under load")
def kill_the_daemon(trial: Trial) -> None:
    with trial.under_load():
        for number in trial.times(short=3, long=200):
            # Commits take some ms: a lock makes sure that a kill comes before one, now and then.
            with nullcontext() if number % 2 else locked(trial.dsn, "readings"):
                trial.wait(0.05, 0.8)
                trial.daemon.kill()
            trial.daemon.start()
