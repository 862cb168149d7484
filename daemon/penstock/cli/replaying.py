"""Gives dead letters another chance, under today's configuration.

What always holds: a letter is judged as on the day it was received, so its timestamps are as good
now as then; a letter is stored whole or not at all; and it is told as stored only after the commit.
Doing it twice stores nothing twice, not even a reading without a timestamp of its own, which takes
the time of receipt again.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import structlog

from penstock.cli.interpretation import Interpretation, Interpreter
from penstock.errors import PoisonError, Reason, Rejected
from penstock.model import Batch
from penstock.pipeline.builder import BatchBuilder
from penstock.pipeline.devices import Admission
from penstock.pipeline.store import Store
from penstock.settings.tree import Settings
from penstock.storage.dead_letters import StoredDeadLetter

log = structlog.get_logger(__name__)

_CUT = re.compile(r"; only the first \d+ of \d+ bytes are kept\Z")
"""How the intake ends the detail of a letter whose payload it had to cut."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Refused(msgspec.Struct, frozen=True):
    """A letter that stays what it is, and why today."""

    letter: StoredDeadLetter
    reason: Reason
    detail: str


class Replayed(msgspec.Struct, kw_only=True):
    """What became of some dead letters."""

    ids: list[int] = []
    """Those whose readings are all in the database now."""
    inserted: int = 0
    """Readings that were new there."""
    duplicates: int = 0
    """Readings that were there already."""
    refused: list[Refused] = []


_Readable = tuple[StoredDeadLetter, Interpretation]


class Replay:
    """Decodes and stores dead letters."""

    def __init__(self, settings: Settings, admitted: Admission, store: Store) -> None:
        self._settings = settings
        self._admitted = admitted
        self._store = store

    async def replay(self, letters: Sequence[StoredDeadLetter]) -> Replayed:
        """Store the readings of those letters that can be read now; all are in memory at once.

        Errors: `Retryable` when the database is unwell; whatever was stored may be stored again.
        """
        replayed = Replayed()
        # A new one each time: a batch needs all of its series in one index.
        interpreter = Interpreter(self._settings, self._admitted)
        readable: list[_Readable] = []
        for letter in letters:
            try:
                readable.append((letter, _read(interpreter, letter)))
            except Rejected as refusal:
                replayed.refused.append(Refused(letter, refusal.reason, refusal.detail))
        if readable:
            await self._store_whole(interpreter, readable, replayed)
        return replayed

    async def _store_whole(
        self, interpreter: Interpreter, readable: Sequence[_Readable], replayed: Replayed
    ) -> None:
        """Store all in one transaction, or one by one when that is refused."""
        try:
            stored = await self._store.store(_batch(interpreter, readable))
        except PoisonError as error:
            if len(readable) > 1:
                for one in readable:
                    await self._store_whole(interpreter, [one], replayed)
            else:
                letter, _ = readable[0]
                replayed.refused.append(Refused(letter, Reason.STORAGE_ERROR, error.detail))
        else:
            replayed.ids += [letter.id for letter, _ in readable]
            replayed.inserted += sum(stored.inserted.values())
            replayed.duplicates += sum(stored.duplicates.values())


def _read(interpreter: Interpreter, letter: StoredDeadLetter) -> Interpretation:
    if _CUT.search(letter.detail):
        raise Rejected(Reason.PAYLOAD_TOO_LARGE, "only the beginning of the payload was kept")
    try:
        return _interpretation(interpreter, letter, _microseconds(letter.received_at))
    except Rejected:
        raise
    except Exception as bug:
        log.exception("dead_letter_failed", id=letter.id)
        raise Rejected(Reason.INTERNAL_ERROR, f"{type(bug).__name__}: {bug}") from bug


def _interpretation(
    interpreter: Interpreter, letter: StoredDeadLetter, received_us: int
) -> Interpretation:
    if letter.topic is not None:
        return interpreter.read(letter.topic, letter.payload, received_us)
    # A single reading that the database refused: its row tells its origin.
    assert letter.tenant is not None
    assert letter.device is not None
    return interpreter.read_admitted(letter.tenant, letter.device, letter.payload, received_us)


def _batch(interpreter: Interpreter, readable: Sequence[_Readable]) -> Batch:
    builder = BatchBuilder(interpreter.index)
    for letter, interpretation in readable:
        builder.begin(None, len(letter.payload), _microseconds(letter.received_at))
        builder.add(interpretation.device, interpretation.groups)
    return builder.seal()


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
