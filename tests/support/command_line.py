"""The command `penstock` as its users run it: a process with arguments, streams and a status."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

HANG_SECONDS = 120.0
"""When a command is taken to hang; generous, because machines are shared."""

PENSTOCK = (sys.executable, "-m", "penstock")


class Finished(NamedTuple):
    """What a command left."""

    status: int
    output: str
    errors: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


def penstock(
    *arguments: str | Path, stdin: bytes = b"", environ: Mapping[str, str] | None = None
) -> Finished:
    """Run a command to its end."""
    done = subprocess.run(
        [*PENSTOCK, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=HANG_SECONDS,
        env={**os.environ, **(environ or {})},
        check=False,
    )
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


def write_config(folder: Path, **sections: object) -> Path:
    """A configuration file with these sections, for nobody else's eyes."""
    path = folder / "penstock.yaml"
    path.touch(0o600)
    path.write_text(yaml.safe_dump(sections))
    return path
