"""Finds the server programs that the sandbox runs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from penstock.sandbox.errors import SandboxError
from penstock.sandbox.process import run

OLDEST_MOSQUITTO = (2, 0, 21)
OLDEST_POSTGRESQL = 15

# Folders of servers are often missing from the PATH of a user who is not root.
_SERVER_FOLDERS = ("/usr/local/sbin", "/usr/sbin")
_POSTGRESQL_FOLDERS = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")


def find_mosquitto() -> Path:
    """The mosquitto that is new enough to keep its sessions over a restart.

    Raises:
        SandboxError: there is none, or it is too old.
    """
    path = find_program("mosquitto")
    # It exits with a failure after it has shown its help.
    shown = subprocess.run([path, "-h"], check=False, capture_output=True, text=True).stdout
    version = re.match(r"mosquitto version (\d+)\.(\d+)\.(\d+)", shown)
    if version is None or tuple(map(int, version.groups())) < OLDEST_MOSQUITTO:
        oldest = ".".join(map(str, OLDEST_MOSQUITTO))
        raise SandboxError(f"{path} is older than mosquitto {oldest}: run `make setup`")
    return path


def find_program(name: str) -> Path:
    """A program on the PATH or in the folders of servers.

    Raises:
        SandboxError: there is none.
    """
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_SERVER_FOLDERS]))
    if found is None:
        raise SandboxError(f"the program {name} was not found: run `make setup`")
    return Path(found)


def find_postgresql() -> Path:
    """The folder of the newest PostgreSQL's programs that has the TimescaleDB extension.

    Raises:
        SandboxError: there is none.
    """
    found = [folder for folder in _postgresql_folders() if _has_timescaledb(folder)]
    if not found:
        raise SandboxError(
            f"no PostgreSQL of {OLDEST_POSTGRESQL} or newer with TimescaleDB was found:"
            " run `make setup`"
        )
    return max(found, key=_postgresql_major)


def _postgresql_folders() -> list[Path]:
    folders = [folder for pattern in _POSTGRESQL_FOLDERS for folder in Path("/").glob(pattern)]
    on_path = shutil.which("pg_config")
    if on_path is not None:
        folders.append(Path(run([on_path, "--bindir"]).strip()))
    return folders


def _has_timescaledb(folder: Path) -> bool:
    if not (folder / "initdb").exists() or not (folder / "pg_config").exists():
        return False
    if _postgresql_major(folder) < OLDEST_POSTGRESQL:
        return False
    shared = Path(run([folder / "pg_config", "--sharedir"]).strip())
    return (shared / "extension" / "timescaledb.control").exists()


def _postgresql_major(folder: Path) -> int:
    version = re.search(r"\d+", run([folder / "pg_config", "--version"]))
    return int(version[0]) if version else 0
