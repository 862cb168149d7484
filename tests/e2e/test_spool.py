"""An outage of the database is bridged on the local disk, judged by the simulator's oracle.

The same experiments are run on daemons that are broken on purpose, to show that they can fail.
"""
