"""Which message goes out when: the numbering of a run.

The *slots* 0, 1, 2 … of a lane are what it publishes, in order. Every `malformed_every`-th is
abuse. Of the others, every `repeat_every`-th repeats one of those before it since the last
repetition. The rest are *fresh*, numbered again without gaps, and go round the lane's devices:
fresh message f is the (f // n)-th turn of device f mod n. In its turns a device sends its messages
in order, except that of every `late_every` one comes last.

All of it is arithmetic that goes both ways: nothing here keeps state.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock_simulator.fleet import Fleet, Numbers
from penstock_simulator.identity import bits, key_of

_BITS = np.uint64(20)


class Places(NamedTuple):
    """What is sent in some slots."""

    device: Numbers
    message: Numbers
    """The number of each among the messages of its device, in the order of their readings."""


def lane_sizes(fleet: Fleet, lanes: Numbers) -> Numbers:
    """How many devices each lane has."""
    return (fleet.size - lanes + fleet.lanes - 1) // fleet.lanes


def lane_devices(fleet: Fleet, lane: int) -> Numbers:
    """The devices of a lane, in the order in which they publish."""
    return np.arange(lane, fleet.size, fleet.lanes, dtype=np.int64)


def is_abuse(fleet: Fleet, slots: Numbers) -> NDArray[np.bool_]:
    """Which of a lane's slots hold abuse."""
    if not fleet.malformed_every:
        return np.zeros(slots.shape, dtype=np.bool_)
    last: NDArray[np.bool_] = slots % fleet.malformed_every == fleet.malformed_every - 1
    return last


def abuse_devices(fleet: Fleet, lanes: Numbers, numbers: Numbers) -> Numbers:
    """In whose name each abuse of a lane is sent."""
    return lanes + numbers % lane_sizes(fleet, lanes) * fleet.lanes


def places(fleet: Fleet, lanes: Numbers, slots: Numbers) -> Places:
    """What is sent in slots that hold no abuse."""
    number = slots
    if fleet.malformed_every:
        number = number - number // fleet.malformed_every
    fresh = _fresh_or_repeated(fleet, lanes, number) if fleet.repeat_every else number
    sizes = lane_sizes(fleet, lanes)
    turn = fresh // sizes
    device = lanes + (fresh - turn * sizes) * fleet.lanes
    return Places(device, _message_of_turn(fleet, device, turn) if fleet.late_every else turn)


def fresh_before(fleet: Fleet, slots: Numbers) -> Numbers:
    """How many fresh messages a lane has in the slots before each of `slots`."""
    if fleet.malformed_every:
        slots = slots - slots // fleet.malformed_every
    return slots - slots // fleet.repeat_every if fleet.repeat_every else slots


def fresh_of(fleet: Fleet, device: Numbers, message: Numbers) -> Numbers:
    """The fresh number of a device's message on its lane."""
    turn = _turn_of_message(fleet, device, message) if fleet.late_every else message
    lane = device % fleet.lanes
    return turn * lane_sizes(fleet, lane) + device // fleet.lanes


def fresh_slots(fleet: Fleet, fresh: Numbers) -> Numbers:
    """The slots of a lane's fresh messages."""
    if fleet.repeat_every:
        fresh = fresh + fresh // (fleet.repeat_every - 1)
    return _well_formed_slots(fleet, fresh)


def repetitions(fleet: Fleet, lane: int, sent: int) -> tuple[Numbers, Numbers]:
    """Of the first `sent` slots of a lane, those that repeat, and the fresh numbers of what."""
    if not fleet.repeat_every:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    well_formed = sent - sent // fleet.malformed_every if fleet.malformed_every else sent
    every = fleet.repeat_every
    numbers = np.arange(every - 1, well_formed, every, dtype=np.int64)
    lanes = np.full_like(numbers, lane)
    return _well_formed_slots(fleet, numbers), _fresh_or_repeated(fleet, lanes, numbers)


def _well_formed_slots(fleet: Fleet, numbers: Numbers) -> Numbers:
    if not fleet.malformed_every:
        return numbers
    return numbers + numbers // (fleet.malformed_every - 1)


def _fresh_or_repeated(fleet: Fleet, lanes: Numbers, numbers: Numbers) -> Numbers:
    every = fleet.repeat_every
    block = numbers // every
    within = numbers - block * every
    chosen = _chosen(fleet, "repeat", lanes, block, every - 1)
    return block * (every - 1) + np.where(within == every - 1, chosen, within)


def _message_of_turn(fleet: Fleet, device: Numbers, turn: Numbers) -> Numbers:
    every = fleet.late_every
    block = turn // every
    within = turn - block * every
    late = _chosen(fleet, "late", device, block, every - 1)
    moved = np.where(within == every - 1, late, within + 1)
    return block * every + np.where(within < late, within, moved)


def _turn_of_message(fleet: Fleet, device: Numbers, message: Numbers) -> Numbers:
    every = fleet.late_every
    block = message // every
    within = message - block * every
    late = _chosen(fleet, "late", device, block, every - 1)
    moved = np.where(within == late, every - 1, within - 1)
    return block * every + np.where(within < late, within, moved)


def _chosen(fleet: Fleet, what: str, of: Numbers, block: Numbers, count: int) -> Numbers:
    """A number below `count` for each block of a lane or a device."""
    keys = of.astype(np.uint64) + np.uint64(key_of(fleet.seed, what) >> 1)
    return (bits(keys, block) >> _BITS).astype(np.int64) % count
