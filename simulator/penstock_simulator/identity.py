"""Pseudo-randomness that can be asked again: the same names and numbers always give the same bits.

Everything that the simulator publishes is a function of the run's seed, the names of a series and
a sequence number, so a verifier in another process, on another day, can say what must be stored
without having seen it sent. The arithmetic is on unsigned 64-bit integers alone: it gives the
same result on every machine and in any vector length. This module keeps no state and never asks
for a clock.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def key_of(seed: int, *names: str) -> int:
    """A 64-bit key for `names` within the run `seed`."""
    text = "\x1f".join((str(seed), *names))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def keys_of(seed: int, paths: list[tuple[str, ...]]) -> U64:
    """`key_of` for each of `paths`."""
    return np.array([key_of(seed, *path) for path in paths], dtype=np.uint64)


def bits(keys: U64, sequence: NDArray[np.int64]) -> U64:
    """64 well-mixed bits for each key and sequence number, broadcast against each other.

    The output function of splitmix64 at position `sequence` of the stream that starts at the key
    (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    return mixed(np.asarray(keys + (sequence.astype(np.uint64) + np.uint64(1)) * _GOLDEN))


def mixed(state: U64) -> U64:
    """Other bits for each of `state`, never the same for two of them: splitmix64's output."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    output: U64 = state ^ (state >> np.uint64(31))
    return output
