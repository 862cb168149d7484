"""What a tree of processes uses is what all of it uses, each page and each second once."""

import os
import subprocess
import sys

from penstock_simulator.process_trees import process_use, tree_use

CHILD_BYTES = 64 * 1024 * 1024
HOLDER = f"""
import sys, time
held = bytearray({CHILD_BYTES})
for at in range(0, len(held), 4096):
    held[at] = 1
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
print("ready", flush=True)
sys.stdin.read()
"""
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {HOLDER!r}], stdin=subprocess.PIPE)
sys.stdin.readline()
child.stdin.close()
child.wait()
print("waited", flush=True)
sys.stdin.read()
"""


def test_children_count_while_they_live_and_their_time_after_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        tree, alone = tree_use(parent.pid), process_use(parent.pid)
        assert tree is not None
        assert alone is not None
        assert tree.cpu_seconds >= 0.3 + alone.cpu_seconds - 0.02
        assert alone.resident_bytes < CHILD_BYTES < tree.resident_bytes
        parent.stdin.write("\n")
        parent.stdin.flush()
        assert parent.stdout.readline() == "waited\n"
        later = tree_use(parent.pid)
        assert later is not None
        assert later.cpu_seconds >= tree.cpu_seconds
        assert later.resident_bytes < CHILD_BYTES


def test_a_process_alone_is_all_that_the_kernel_counts_as_resident() -> None:
    use = process_use(os.getpid())
    assert use is not None
    assert use.resident_bytes > 5_000_000
    assert use.cpu_seconds > 0


def test_a_process_that_is_gone_uses_nothing_that_is_known() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert tree_use(process.pid) is None
    assert process_use(process.pid) is None
