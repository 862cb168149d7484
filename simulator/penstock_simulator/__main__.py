"""`python -m penstock_simulator` is `penstock-sim`."""

from penstock_simulator.cli import main

main()
