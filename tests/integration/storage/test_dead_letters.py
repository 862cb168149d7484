from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from penstock.errors import Reason
from penstock.model import DeadLetter
from penstock.settings.tree import Storage
from penstock.storage import dead_letters as module
from penstock.storage.dead_letters import DeadLetters, Selection, open_dead_letters
from penstock.storage.store import TimescaleStore
from tests.support.database import Database
from tests.support.readings import NOW_US, batch

NOW = datetime.fromtimestamp(NOW_US / 1e6, UTC)
HOUR_US = 3_600_000_000


def letter(
    hours: int = 0, tenant: str | None = "acme", reason: Reason = Reason.MALFORMED
) -> DeadLetter:
    return DeadLetter(
        received_us=NOW_US + hours * HOUR_US,
        topic="devices/acme/pump-1/telemetry",
        payload=b"{%d" % hours,
        reason=reason,
        detail="not JSON",
        tenant=tenant,
        device="pump-1",
    )


LETTERS = [
    letter(0),
    letter(1, tenant="emca"),
    letter(2, reason=Reason.BAD_NAME),
    letter(3, tenant=None, reason=Reason.UNKNOWN_ROUTE),
]


@pytest.fixture
async def letters(
    storage: Storage, store: TimescaleStore, inspect: Database
) -> AsyncIterator[DeadLetters]:
    await store.store(batch(dead_letters=LETTERS))
    async with open_dead_letters(storage.dsn, storage.timeout_seconds) as letters:
        yield letters


async def test_a_dead_letter_is_read_as_it_was_written(letters: DeadLetters) -> None:
    found = await letters.get(1)

    assert found == module.StoredDeadLetter(
        id=1, received_at=NOW, tenant="acme", device="pump-1",
        topic="devices/acme/pump-1/telemetry", payload=b"{0", reason="malformed",
        detail="not JSON", sqlstate=None, correlation_id=None, status="new", replayed_at=None,
    )  # fmt: skip
    assert await letters.get(99) is None


@pytest.mark.parametrize(
    ("selection", "ids"),
    [
        (Selection(), [4, 3, 2, 1]),
        (Selection(tenant="acme"), [3, 1]),
        (Selection(reason=Reason.MALFORMED), [2, 1]),
        (Selection(tenant="acme", reason=Reason.MALFORMED), [1]),
        (Selection(since=NOW + timedelta(hours=2)), [4, 3]),
        (Selection(before=NOW + timedelta(hours=2)), [2, 1]),
        (Selection(status="replayed"), []),
        (Selection(tenant="'; drop table dead_letters; --"), []),
    ],
)
async def test_a_selection_lists_what_matches_newest_first_and_purges_the_same(
    letters: DeadLetters, inspect: Database, selection: Selection, ids: list[int]
) -> None:
    assert [found.id for found in await letters.newest(selection, 10)] == ids

    assert await letters.purge(selection) == len(ids)

    left = await inspect.rows("select dead_letter_id from dead_letters order by 1")
    assert left == [(number,) for number in (1, 2, 3, 4) if number not in ids]


async def test_a_list_has_a_limit_and_can_be_continued(letters: DeadLetters) -> None:
    assert [found.id for found in await letters.newest(Selection(), 3)] == [4, 3, 2]
    assert [found.id for found in await letters.newest(Selection(), 3, below_id=2)] == [1]


async def test_pages_hold_everything_once(letters: DeadLetters) -> None:
    pages = [[found.id for found in page] async for page in letters.pages(Selection(), 3)]

    assert pages == [[4, 3, 2], [1]]


async def test_what_was_replayed_is_marked_once(letters: DeadLetters) -> None:
    assert await letters.mark_replayed([1, 2, 99]) == 2
    assert await letters.mark_replayed([2, 3]) == 1

    replayed = await letters.newest(Selection(status="replayed"), 10)
    assert [found.id for found in replayed] == [3, 2, 1]
    assert all(found.replayed_at is not None for found in replayed)
    assert [found.id for found in await letters.newest(Selection(status="new"), 10)] == [4]


async def test_a_purge_larger_than_one_transaction_deletes_everything(
    letters: DeadLetters, inspect: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PURGE_ROWS", 3)

    assert await letters.purge(Selection()) == 4
    assert await inspect.rows("select 1 from dead_letters") == []
