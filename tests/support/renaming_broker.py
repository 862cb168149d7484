"""A broker that puts a client's id aside for its user name."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from penstock import sandbox
from penstock.sandbox.ports import LOOPBACK, free_port


@contextmanager
def renaming_broker(folder: Path, users: Mapping[str, str]) -> Iterator[sandbox.Broker]:
    """One that runs for the length of a block; `users` are passwords by user name."""
    port = free_port()
    lines = [f"listener {port} {LOOPBACK}", "use_username_as_clientid true"]
    with sandbox.Broker(folder, users=users, lines=lines) as broker:
        # From here on its clients come by the listener that renames them.
        broker.port = port
        yield broker
