"""What the `dead-letters` commands do, on a connection to the database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec

from penstock.cli.interpretation import anyone
from penstock.cli.letter_display import HEADING, as_lines, as_row, letter_as_json
from penstock.cli.output import print_table, printable, remark, say
from penstock.cli.replaying import Replay, Replayed
from penstock.clock import SystemClock
from penstock.errors import ConfigError
from penstock.observability.metrics import StorageCounts
from penstock.pipeline.devices import Admission
from penstock.registry.known import KnownDevices
from penstock.settings.tree import Settings, Storage
from penstock.storage.dead_letters import (
    DeadLetters,
    Selection,
    StoredDeadLetter,
    open_dead_letters,
)
from penstock.storage.latest import Latest
from penstock.storage.store import TimescaleStore

_PAGE_ROWS = 50
"""Dead letters in memory at once, each up to `limits.dead_letter_bytes` long."""


class _Total(msgspec.Struct):
    """Counts over all pages; the letters themselves are not kept."""

    letters: int = 0
    inserted: int = 0
    duplicates: int = 0
    refused: int = 0

    def add(self, replayed: Replayed) -> None:
        self.letters += len(replayed.ids)
        self.inserted += replayed.inserted
        self.duplicates += replayed.duplicates
        self.refused += len(replayed.refused)


async def print_list(
    settings: Settings, selection: Selection, limit: int, *, as_json: bool
) -> None:
    """Print the newest `limit` of a selection, and say when that is not all of it."""
    async with _open(settings.storage) as letters:
        newest = _newest(letters, selection, limit)
        if as_json:
            async for letter in newest:
                say(letter_as_json(letter))
        else:
            rows = [as_row(letter) async for letter in newest]
            if rows:
                print_table(HEADING, rows)
            else:
                remark("there are none")
        matching = await letters.count(selection)
    if matching > limit:
        remark(f"{limit} of {matching} shown, the newest; --limit shows more")


async def print_one(settings: Settings, dead_letter_id: int) -> None:
    """Print one dead letter; `ConfigError` when there is no such."""
    async with _open(settings.storage) as letters:
        (letter,) = await _with_ids(letters, [dead_letter_id])
    for line in as_lines(letter):
        say(line)


async def replay_chosen(settings: Settings, ids: Sequence[int], selection: Selection) -> int:
    """Replay those with these ids, or else a selection, and say what became of them.

    Returns how many were refused again.
    """
    total = _Total()
    async with _open(settings.storage) as letters, _open_replay(settings) as replay:
        async for page in _chosen(letters, ids, selection):
            # The oldest first, so that no device is said to have been seen later than it was.
            replayed = await replay.replay(page[::-1])
            await letters.mark_replayed(replayed.ids)
            for refused in replayed.refused:
                say(f"{refused.letter.id} refused: {refused.reason}: {printable(refused.detail)}")
            total.add(replayed)
    say(
        f"replayed {_counted(total.letters)}: {total.inserted} readings stored, "
        f"{total.duplicates} were there already; {total.refused} refused again"
    )
    return total.refused


async def count_chosen(settings: Settings, selection: Selection) -> int:
    """How many a selection is."""
    async with _open(settings.storage) as letters:
        return await letters.count(selection)


async def purge_chosen(settings: Settings, selection: Selection) -> None:
    """Delete a selection and say how many that were."""
    async with _open(settings.storage) as letters:
        say(f"deleted {_counted(await letters.purge(selection))}")


def _open(storage: Storage) -> AbstractAsyncContextManager[DeadLetters]:
    return open_dead_letters(storage.dsn, storage.timeout_seconds)


@asynccontextmanager
async def _open_replay(settings: Settings) -> AsyncIterator[Replay]:
    latest = Latest(settings.storage, SystemClock())
    store = TimescaleStore(settings.storage, StorageCounts(), latest)
    try:
        yield Replay(settings, await _admission(settings), store)
    finally:
        await store.close()
        await latest.close()


async def _admission(settings: Settings) -> Admission:
    if settings.registry.auto_register:
        return anyone
    devices = KnownDevices(settings.storage, settings.registry)
    try:
        await devices.refresh()
    finally:
        devices.close()
    return devices.is_registered


async def _chosen(
    letters: DeadLetters, ids: Sequence[int], selection: Selection
) -> AsyncIterator[Sequence[StoredDeadLetter]]:
    """Pages of the letters with these ids, or of the selection when there is none."""
    if ids:
        for start in range(0, len(ids), _PAGE_ROWS):
            yield await _with_ids(letters, ids[start : start + _PAGE_ROWS])
    else:
        async for page in letters.pages(selection, _PAGE_ROWS):
            yield page


async def _with_ids(letters: DeadLetters, ids: Sequence[int]) -> Sequence[StoredDeadLetter]:
    """The letters with these ids, the newest first."""
    found = {}
    for dead_letter_id in sorted(ids, reverse=True):
        letter = await letters.get(dead_letter_id)
        if letter is None:
            raise ConfigError(f"there is no dead letter {dead_letter_id}")
        found[dead_letter_id] = letter
    return list(found.values())


async def _newest(
    letters: DeadLetters, selection: Selection, limit: int
) -> AsyncIterator[StoredDeadLetter]:
    async for page in letters.pages(selection, min(limit, _PAGE_ROWS)):
        for letter in page[:limit]:
            yield letter
        limit -= len(page)
        if limit <= 0:
            return


def _counted(letters: int) -> str:
    return f"{letters} dead letter{'' if letters == 1 else 's'}"
