r"""How many rows a second are committed, against a C client that copies the same bytes.

Ours is the daemon's own store: batches as the intake seals them are ordered, encoded, copied and
committed by so many writers at once. Raw is `psql \copy` in binary format, in as many sessions at
once, each file one batch, committed on its own: the very bytes that Penstock sends, ordered and
encoded beforehand. Both copy into the same hypertable, which is emptied, written back and given its
chunk before each window; connections are open and series are known before the clock starts.

The ratio is the median of the ratios of neighbouring windows, because what disturbs one of them
tends to disturb the other.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import asyncpg

from benchmarks import frame
from benchmarks.copying import Copied, copy_with_penstock, copy_with_psql
from benchmarks.frame import BenchError, Chart, Context, Goal, Result, Table
from benchmarks.made_batches import SERIES, Made, make_batches, write_copies
from benchmarks.subjects import servers, write_back
from penstock.observability.metrics import StorageCounts
from penstock.sandbox.databases import execute
from penstock.settings.secret import Secret
from penstock.settings.tree import Storage
from penstock.storage.migrate import migrate
from penstock.storage.store import TimescaleStore
from penstock_simulator.stack import fresh_database

LEAST_RATIO = 0.9
BATCH_ROWS = (500, 5_000, 50_000)
WRITERS = (1, 2, 4)
ROWS_PER_SECOND = 100_000
"""Rows of a window for each second that it should last at least."""

_WHY = (
    "Small batches cost Python time for each, most of it in the driver and the event loop, and all"
    " writers share a thread, where `psql` is a process a writer and its bytes are made beforehand;"
    " [the profile](profile.md#storage) says what was tried."
)


class Case(NamedTuple):
    """How rows are stored."""

    batch_rows: int
    writers: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.batch_rows:,} by {self.writers}"


class Pair(NamedTuple):
    """Neighbouring windows."""

    ours: Copied
    raw: Copied

    @property
    def ratio(self) -> float:
        """Ours ÷ raw."""
        return self.ours.rows_per_second / self.raw.rows_per_second

    @property
    def void(self) -> bool:
        """Whether either is."""
        return self.ours.void or self.raw.void


Pairs = Mapping[Case, Sequence[Pair]]


def measure_storage(context: Context) -> Result:
    """Measure every size of batch with every number of writers, ours and raw in turn."""
    pairs: dict[Case, list[Pair]] = defaultdict(list)
    rows = round(ROWS_PER_SECOND * context.seconds)
    with servers() as bench, fresh_database(bench.server_dsn) as dsn:
        for run in range(context.runs):
            folder = bench.folder / f"run-{run}"
            folder.mkdir()
            for case, pair in measure_pairs(
                bench.server_dsn, dsn, folder, rows=rows, raw_first=bool(run % 2)
            ):
                pairs[case].append(pair)
                _tell(context, run, case, pair)
    return result_of(pairs)


def measure_pairs(
    server_dsn: str,
    dsn: str,
    folder: Path,
    *,
    rows: int,
    raw_first: bool = False,
    batch_rows: Sequence[int] = BATCH_ROWS,
    writers: Sequence[int] = WRITERS,
) -> Iterator[tuple[Case, Pair]]:
    """Measure each case once, in a database of its own.

    Raises:
        BenchError: not every row was stored.
    """
    for size in batch_rows:
        load = _prepare(dsn, folder / str(size), size, rows=rows, warm_ups=max(writers))
        for number in writers:
            yield (
                Case(size, number),
                _measure_pair(server_dsn, dsn, load, number, raw_first=raw_first),
            )


class _Load(NamedTuple):
    made: Made
    warm_up: Sequence[Path]
    copies: Sequence[Path]


def _prepare(dsn: str, folder: Path, batch_rows: int, *, rows: int, warm_ups: int) -> _Load:
    """Make batches and their series known, and write the files that `psql` copies."""
    folder.mkdir()
    made = make_batches(warm_ups=warm_ups, batch_rows=batch_rows, rows=rows)
    asyncio.run(_make_known(dsn, made))
    return _Load(
        made,
        write_copies(made.warm_up, folder / "warm-up"),
        write_copies(made.batches, folder / "batches"),
    )


async def _make_known(dsn: str, made: Made) -> None:
    settings = Storage(dsn=Secret(dsn))
    await migrate(settings.dsn)
    store = TimescaleStore(settings, StorageCounts())
    await store.store(made.warm_up[0])
    await store.close()


def _measure_pair(server_dsn: str, dsn: str, load: _Load, writers: int, *, raw_first: bool) -> Pair:
    raw = _raw(server_dsn, dsn, load, writers) if raw_first else None
    ours = _ours(server_dsn, dsn, load, writers)
    return Pair(ours, raw or _raw(server_dsn, dsn, load, writers))


def _ours(server_dsn: str, dsn: str, load: _Load, writers: int) -> Copied:
    _empty(server_dsn, dsn)
    copied = copy_with_penstock(dsn, load.made, writers)
    _check(dsn, load, writers)
    return copied


def _raw(server_dsn: str, dsn: str, load: _Load, writers: int) -> Copied:
    _empty(server_dsn, dsn)
    copied = copy_with_psql(dsn, load.made, load.warm_up[:writers], load.copies)
    _check(dsn, load, writers)
    return copied


def _empty(server_dsn: str, dsn: str) -> None:
    execute(dsn, "truncate readings")
    write_back(server_dsn)


def _check(dsn: str, load: _Load, writers: int) -> None:
    stored = asyncio.run(_count(dsn))
    expected = load.made.rows + writers * SERIES
    if stored != expected:
        raise BenchError(f"{stored} rows are stored, of {expected}")


async def _count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from readings"))
    finally:
        await connection.close()


def _tell(context: Context, run: int, case: Case, pair: Pair) -> None:
    context.console.print(
        f"run {run + 1}, batches by writers {case.name}: {pair.ours.rows_per_second:,.0f} rows/s,"
        f" raw {pair.raw.rows_per_second:,.0f}, ratio {pair.ratio:.2f},"
        f" {pair.ours.cpu_us_per_row:.2f} µs of CPU a row"
        f"{pair.ours.noise.remark or pair.raw.noise.remark}",
        soft_wrap=True,
    )


class _Figures(NamedTuple):
    ours: float
    raw: float
    ratio: float
    cpu_us: float
    void: bool


def result_of(pairs: Pairs) -> Result:
    """The medians, the median ratio of neighbours, and whether the goal is met."""
    figures = {case: _figures(taken) for case, taken in pairs.items()}
    return Result(
        figures={
            case.name: {
                "batch_rows": case.batch_rows,
                "writers": case.writers,
                "rows_per_second": round(each.ours),
                "raw_rows_per_second": round(each.raw),
                "ratio": round(each.ratio, 3),
                "cpu_us_per_row": round(each.cpu_us, 3),
                "void": each.void,
            }
            for case, each in figures.items()
        },
        notes=[_WHY],
        tables=[
            Table(
                title="Storage: committed rows against `psql \\copy`",
                columns=["rows/batch", "writers", "rows/s", "raw rows/s", "ratio", "CPU µs/row"],
                rows=[_row(case, each) for case, each in figures.items()],
            )
        ],
        goals=[
            Goal(
                what=f"storage ÷ raw COPY, batches of {case.batch_rows:,}, writers {case.writers}",
                figure=each.ratio,
                bound=LEAST_RATIO,
                void=each.void,
            )
            for case, each in figures.items()
        ],
        charts=[
            Chart(
                name="storage",
                title="Committed rows, by rows in a batch and writers",
                unit="rows/s",
                places=[case.name for case in figures],
                series={
                    "psql \\copy": [each.raw for each in figures.values()],
                    "Penstock": [each.ours for each in figures.values()],
                },
            )
        ],
        voids=frame.void_windows({case.name: taken for case, taken in pairs.items()}),
    )


def _figures(taken: Sequence[Pair]) -> _Figures:
    pairs = frame.counted(taken)
    return _Figures(
        median(pair.ours.rows_per_second for pair in pairs),
        median(pair.raw.rows_per_second for pair in pairs),
        median(pair.ratio for pair in pairs),
        median(pair.ours.cpu_us_per_row for pair in pairs),
        frame.is_void(taken),
    )


def _row(case: Case, figures: _Figures) -> list[str]:
    return [
        f"{case.batch_rows:,}",
        str(case.writers),
        f"{figures.ours:,.0f}",
        f"{figures.raw:,.0f}",
        f"{figures.ratio:.2f}",
        f"{figures.cpu_us:.2f}",
    ]
