"""What the simulated devices measure: signals that can be computed again for any moment.

What always holds: a signal is a function of the device, the sequence number and the time, in
integers only, so that it is the same on every machine and in any vector length; and it never
leaves its `low` to `high`, so that packets of one device are equally long. Nothing here keeps
state: even a counter is computed and not counted.
"""

from penstock_simulator.signals.counters import Battery, Counter
from penstock_simulator.signals.moment import Moment, Numbers, Raw, Signal
from penstock_simulator.signals.related import (
    NUMBERED,
    NUMBERED_DIGITS,
    Gated,
    Numbered,
    Opposed,
    Product,
)
from penstock_simulator.signals.steps import Steps, Switch
from penstock_simulator.signals.waves import Drift, Wave

__all__ = [
    "NUMBERED",
    "NUMBERED_DIGITS",
    "Battery",
    "Counter",
    "Drift",
    "Gated",
    "Moment",
    "Numbered",
    "Numbers",
    "Opposed",
    "Product",
    "Raw",
    "Signal",
    "Steps",
    "Switch",
    "Wave",
]
