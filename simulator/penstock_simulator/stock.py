"""Encodes the next packets of many lanes at once.

A call of the encoder costs as much as a hundred packets. A lane with much traffic fills a call by
itself; lanes with little are encoded together, some time before their messages are due.
"""

from collections.abc import Sequence

import numpy as np

from penstock_simulator.lane import Lane
from penstock_simulator.packets import Block, FleetEncoder


def stock_up(encoder: FleetEncoder, lanes: Sequence[Lane], due: Sequence[int]) -> None:
    """Encode the next blocks of the lanes that have none, given how many slots are due of each."""
    counts, empty = [], []
    for lane, stop in zip(lanes, due, strict=True):
        if lane.empty:
            empty.append(lane)
            counts.append(lane.block_size(stop - lane.sent))
    if not empty:
        return
    numbers = np.repeat(np.array([lane.number for lane in empty]), counts)
    firsts = [lane.sent for lane in empty]
    slots = [np.arange(first, first + n) for first, n in zip(firsts, counts, strict=True)]
    data, ends = encoder.encode(numbers, np.concatenate(slots))
    start = begin = 0
    for lane, count in zip(empty, counts, strict=True):
        own = ends[start : start + count]
        lane.stock(Block(lane.sent, data[begin : int(own[-1])], own - begin))
        start, begin = start + count, int(own[-1])
