"""Every experiment by its number."""

from tests.faults import (
    boundary_faults,
    broker_faults,
    clock_faults,
    daemon_faults,
    damage_faults,
    data_faults,
    database_faults,
    database_network_faults,
    disk_faults,
    resource_faults,
)
from tests.faults.experiment import Experiment

CATALOGUES = (
    boundary_faults.catalogue,
    broker_faults.catalogue,
    clock_faults.catalogue,
    daemon_faults.catalogue,
    damage_faults.catalogue,
    data_faults.catalogue,
    database_faults.catalogue,
    database_network_faults.catalogue,
    disk_faults.catalogue,
    resource_faults.catalogue,
)

EXPERIMENTS: dict[int, Experiment] = dict(
    sorted(
        (number, experiment)
        for catalogue in CATALOGUES
        for number, experiment in catalogue.experiments.items()
    )
)
