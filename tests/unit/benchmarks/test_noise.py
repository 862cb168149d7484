"""Noise is what others do; what this process and its descendants do is none."""

import os
import subprocess
import sys

from benchmarks.noise import Listener, _family_ticks, _is_family

TICKS = 20
ROUNDED_DOWN = 4
"""The kernel gives whole ticks of user and of system time, of a process and of its children."""
WORK = f"""
import os, time
seconds = {TICKS + ROUNDED_DOWN} / os.sysconf("SC_CLK_TCK")
while time.process_time() < seconds: pass
"""


def test_the_loop_is_never_quicker_than_at_best() -> None:
    assert all(Listener(alone=True).hear().slowed >= 1.0 for _ in range(3))


def test_the_loop_says_nothing_where_other_work_of_ours_slows_it() -> None:
    assert Listener().hear().slowed == 1.0


def test_what_a_child_used_is_ours_even_after_its_end() -> None:
    before = _family_ticks()
    subprocess.run([sys.executable, "-c", WORK], check=True)
    assert _family_ticks() - before >= TICKS


def test_what_a_grandchild_uses_is_ours() -> None:
    own = os.getpid()
    assert _is_family(own + 2, {own + 1: own, own + 2: own + 1, own: 1})
    assert not _is_family(own + 2, {own + 1: 1, own + 2: own + 1, own: 1})
    assert not _is_family(own + 2, {own + 2: own + 1})


def test_a_share_is_none_of_nothing_and_one_of_everything() -> None:
    noise = Listener().hear()
    assert 0.0 <= noise.foreign <= 1.0
