"""The ledgers of a run of several groups: a file for each."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from penstock_simulator.fleet import Fleet
from penstock_simulator.ledger import Ledger, load, save


def save_ledgers(ledgers: Mapping[str, Ledger], path: Path) -> list[Path]:
    """Write each group's ledger, and say where: `sent.ledger` becomes `sent-GROUP.ledger`.

    The only group there is has `path` itself.
    """
    if len(ledgers) == 1:
        paths = [path]
    else:
        paths = [path.with_name(f"{path.stem}-{name}{path.suffix}") for name in ledgers]
    for ledger, own in zip(ledgers.values(), paths, strict=True):
        save(ledger, own)
    return paths


def load_ledgers(paths: Iterable[Path]) -> dict[str, Ledger]:
    """Read the ledgers of any groups, by the names of their files; parts of a group are joined.

    Raises:
        LedgerError: a file is not a ledger, or parts of a group contradict each other.
    """
    parts: dict[Fleet, list[Path]] = {}
    for path in paths:
        parts.setdefault(load([path]).fleet, []).append(path)
    return {own[0].stem: load(own) for own in parts.values()}
