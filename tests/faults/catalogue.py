"""Every experiment by its number."""

from tests.faults import daemon_faults
from tests.faults.experiment import Experiment

CATALOGUES = (daemon_faults.catalogue,)

EXPERIMENTS: dict[int, Experiment] = dict(
    sorted(
        (number, experiment)
        for catalogue in CATALOGUES
        for number, experiment in catalogue.experiments.items()
    )
)
