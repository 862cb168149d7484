"""A bound on the memory of a process, as service managers set it: the kernel kills who exceeds it.

Control groups of version 1 or 2; root, and a file system where they can be written, are needed.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_MOUNT = Path("/sys/fs/cgroup")
_LIMITS = {
    _MOUNT / "memory": "memory.limit_in_bytes",
    _MOUNT: "memory.max",
}
"""By where the controller of memory may be: the file that holds the limit (cgroups(7))."""


@contextmanager
def little_memory(process_id: int, more_bytes: int) -> Iterator[None]:
    """Let a process that runs take so much more memory, beside what it has, and then be killed.

    What a process has when it comes into a group stays charged to the group that it comes from.
    The process should have ended when the block does; one that has not is let out.
    """
    group = _make_group(more_bytes)
    try:
        (group / "cgroup.procs").write_text(str(process_id))
        yield
    finally:
        with suppress(ProcessLookupError):  # it has ended, as it should have
            (group.parent / "cgroup.procs").write_text(str(process_id))
        group.rmdir()


def _make_group(limit_bytes: int) -> Path:
    for parent, limit in _LIMITS.items():
        group = parent / f"penstock-{secrets.token_hex(4)}"
        try:
            group.mkdir()
        except OSError:
            continue
        if (group / limit).exists():
            (group / limit).write_text(str(limit_bytes))
            return group
        group.rmdir()
    pytest.skip("needs to be root where control groups of memory can be made")
