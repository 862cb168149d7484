"""What the `spool` commands do.

What always holds: whoever opens a spool holds its lock, so that no daemon has it; only `drain`
changes it, and that as the daemon would; and root opens no other user's, because it would leave
files beside it that its daemon cannot open.
"""

import asyncio
import json
import os
import pwd
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import random
from typing import Any

from penstock.backoff import Backoff
from penstock.cli.output import printable, remark, rfc3339, say
from penstock.cli.spool_lines import lines_of
from penstock.clock import SystemClock
from penstock.errors import ConfigError, FatalError
from penstock.observability.metrics import Metrics
from penstock.pipeline.accounting import Accounting
from penstock.pipeline.breaker import Breaker
from penstock.settings.listen import parse_listen
from penstock.settings.tree import Settings
from penstock.spool.carve import carve
from penstock.spool.codec import Contents, decode_body
from penstock.spool.faults import SpoolFault
from penstock.spool.file import SpoolFile
from penstock.spool.label import Record, Unreadable, is_intact
from penstock.spool.lock import SpoolLock
from penstock.spool.log import log_of, renew_log, restore_log
from penstock.spool.mark import read_mark
from penstock.spool.quarantine import quarantine_folder
from penstock.spool.replayer import Replayer
from penstock.spool.spool import Spool
from penstock.storage.latest import Latest
from penstock.storage.store import TimescaleStore

_ROWS_AT_ONCE = 5_000
_BYTES_AT_ONCE = 8_388_608
_HTTP_SECONDS = 5.0
_PROGRESS_SECONDS = 2.0


class _UnusableError(FatalError):
    """The file of a spool does not work."""


class _HeldError(FatalError):
    """A daemon has the spool."""


def print_status(path: Path, settings: Settings) -> None:
    """Say how much is in a spool, from its file, or from the daemon that has it."""
    say(f"spool     {path}")
    try:
        with _opened(path) as file:
            standing = file.standing
            say("daemon    not running")
            oldest = "" if standing.oldest_us is None else f", oldest {rfc3339(standing.oldest_us)}"
            _say_contents(standing.batches, standing.rows, standing.size_bytes, settings, oldest)
            for tenant, readings in sorted(file.readings().items(), key=str):
                say(f"          {printable(tenant or '(no tenant)')}: {readings}")
    except _HeldError:
        spool = _asked_of_daemon(settings)
        say(f"daemon    running; the spool is {spool['state']}")
        oldest = f", oldest {spool['oldest_age_seconds']:.0f} s old" if spool["batches"] else ""
        _say_contents(spool["batches"], spool["rows"], spool["bytes"], settings, oldest)
    _say_aside(path)


async def drain_spool(path: Path, settings: Settings) -> None:
    """Store everything in a spool.

    Errors: `FatalError` when a daemon has it; `Retryable` when the database or the disk fails.
    """
    _must_be_for_us(path)
    clock = SystemClock()
    metrics = Metrics(clock)
    accounting = Accounting(metrics, clock)
    spool = Spool(settings.spool, metrics.spool, accounting, clock)
    latest = Latest(settings.storage, clock)
    store = TimescaleStore(settings.storage, metrics.storage, latest)

    async def answers() -> bool:
        return (await store.check()).connected

    await spool.open()
    if spool.status.state == "unusable":
        raise FatalError(spool.status.detail)
    backoff = Backoff(1.0, 1.0, random)
    replayer = Replayer(
        spool, store, answers, Breaker(backoff, clock), backoff,
        accounting.replayed, metrics, clock,
        portion_rows=settings.storage.batch_rows, portion_bytes=settings.storage.batch_bytes,
    )  # fmt: skip
    progress = asyncio.create_task(_tell_progress(spool))
    try:
        await replayer.drain()
    finally:
        progress.cancel()
        await spool.close()
        await store.close()
        await latest.close()
    totals = metrics.ledger.totals()
    say(
        f"drained {metrics.spool.replayed_batches} batches: {totals.stored} readings stored, "
        f"{totals.duplicate} were there already, {totals.dead_lettered} dead letters, "
        f"{totals.shed} damaged"
    )


def verify_spool(path: Path) -> bool:
    """Check all of a spool and say what is wrong; whether nothing is."""
    sound = True
    try:
        with _opened(path) as file:
            for text in file.check():
                sound = False
                say(f"damaged: {text}")
            batches = rows = 0
            for record, contents in _records(file):
                if isinstance(contents, Unreadable):
                    sound = False
                    say(f"damaged: batch {record.number}: {contents}")
                else:
                    batches, rows = batches + 1, rows + contents.rows
            if batches != file.standing.batches:
                sound = False
            mark = read_mark(path)
            if mark is not None and file.mark.commits < mark.commits:
                sound = False
                say(f"damaged: it is {mark.commits - file.mark.commits} commits behind its mark")
            say(f"{batches} of {file.standing.batches} batches are sound, with {rows} rows")
    except _UnusableError as error:
        say(f"damaged: {error}")
        return False
    return sound


def export_spool(path: Path) -> None:
    """Print all readings and dead letters of a spool that can be read."""
    printed: set[int] = set()
    try:
        with _opened(path) as file:
            for record, contents in _records(file):
                if isinstance(contents, Unreadable):
                    remark(f"batch {record.number} is damaged and left out: {contents}")
                    continue
                _print(contents)
                printed.add(record.number)
    except _UnusableError as error:
        remark(f"{error}; what can be read of it follows, and may include what was removed")
        for record in carve(path, log_of(path).read_bytes() if log_of(path).exists() else b""):
            if record.number not in printed and is_intact(record):
                _print(decode_body(record.number, record.body))
                printed.add(record.number)


def _print(contents: Contents) -> None:
    for line in lines_of(contents):
        say(line)


@contextmanager
def _opened(path: Path) -> Iterator[SpoolFile]:
    """The file, under its lock."""
    _must_be_for_us(path)
    try:
        lock = SpoolLock(path)
    except SpoolFault as fault:
        raise _HeldError(str(fault)) from fault
    try:
        logged = renew_log(path)
        try:
            file = SpoolFile(path)
            try:
                yield file
            finally:
                file.abandon()
        finally:
            # All of a damaged one is for the daemon to salvage.
            restore_log(path, logged)
    except SpoolFault as fault:
        raise _UnusableError(str(fault)) from fault
    finally:
        lock.release()


def _must_be_for_us(path: Path) -> None:
    if not path.exists():
        raise ConfigError(f"there is no spool {path}")
    owner_id = path.lstat().st_uid
    if os.geteuid() == 0 != owner_id:
        raise FatalError(
            f"the spool {path} belongs to another user, who could not open what root leaves beside "
            f"it: {_as_user(owner_id)}docs/operations.md says how for the systemd unit"
        )


def _as_user(user_id: int) -> str:
    try:
        return f"runuser -u {pwd.getpwuid(user_id).pw_name} -- penstock spool …; "
    except KeyError:  # one of systemd's, whom nobody can become
        return ""


def _records(file: SpoolFile) -> Iterator[tuple[Record, Contents | Unreadable]]:
    after = 0
    while records := file.read(after, _ROWS_AT_ONCE, _BYTES_AT_ONCE):
        for record in records:
            try:
                yield record, decode_body(record.number, record.body)
            except Unreadable as damage:
                yield record, damage
        after = records[-1].number


def _say_contents(batches: int, rows: int, size_bytes: int, settings: Settings, more: str) -> None:
    share = 100 * size_bytes / settings.spool.max_bytes
    say(f"contents  {batches} batches, {rows} rows, {size_bytes} bytes{more}")
    say(f"quota     {settings.spool.max_bytes} bytes, {share:.1f} % used")


def _say_aside(path: Path) -> None:
    with suppress(OSError):
        quarantined = len(list(quarantine_folder(path).glob("*.batch")))
        if quarantined:
            say(f"damaged   {quarantined} batches in {quarantine_folder(path)}")
        for file in sorted(path.parent.glob(f"{path.name}.damaged-*")):
            say(f"damaged   {file}")


def _asked_of_daemon(settings: Settings) -> dict[str, Any]:
    if settings.http.listen is None:
        raise FatalError("a daemon has the spool, and http.listen is null: stop the daemon")
    address = parse_listen(settings.http.listen)
    host = f"[{address.host}]" if ":" in address.host else address.host
    url = f"http://{host}:{address.port}/api/v1/queue/stats"
    try:
        with urllib.request.urlopen(url, timeout=_HTTP_SECONDS) as answer:
            spool: dict[str, Any] = json.load(answer)["spool"]
            return spool
    except (OSError, ValueError, KeyError) as error:
        raise FatalError(
            f"a daemon has the spool, and does not answer at {url}: {error}; stop it first"
        ) from error


async def _tell_progress(spool: Spool) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        remark(f"{spool.standing.batches} batches left, {spool.standing.rows} rows")
