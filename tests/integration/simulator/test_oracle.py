"""The oracle finds nothing wrong with a faithful database, and every fault of an unfaithful one."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import msgspec
import pytest

from penstock_simulator.abuse import abuse_of
from penstock_simulator.account import Account
from penstock_simulator.fleet import AbuseWeights, Fleet
from penstock_simulator.ledger import ACKNOWLEDGED, WAITING, LaneLedger, Ledger
from penstock_simulator.oracle import OracleError, verify
from penstock_simulator.pace import Steady
from penstock_simulator.packets import LaneEncoder
from penstock_simulator.schedule import Schedule
from tests.support.simulated import packets_of, samples_of

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Verdict: TypeAlias = Callable[[], Awaitable[Account]]

FLEET = Fleet(
    seed=0xC0FFEE,
    start_us=1_790_000_000_000_000,
    step_us=1_000_000,
    tenants=2,
    devices=3,
    metrics=2,
    lanes=2,
    malformed_every=5,
)
SLOTS = 50
MESSAGES = FLEET.lanes * SLOTS
MALFORMED = MESSAGES // FLEET.malformed_every
READINGS = (MESSAGES - MALFORMED) * FLEET.metrics
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ONE_READING = (
    "(series_id, ts) in (select series_id, ts from readings order by ts, series_id limit 1)"
)
ONE_LETTER = "dead_letter_id in (select min(dead_letter_id) from dead_letters)"


@pytest.fixture
def ledger() -> Ledger:
    """Everything was sent just now, and acknowledged."""
    return ledger_of(FLEET)


def ledger_of(fleet: Fleet) -> Ledger:
    now_us = time.time_ns() // 1_000
    lanes = {}
    for number in range(fleet.lanes):
        lane = LaneLedger()
        lane.append(SLOTS, now_us)
        lane.outcome[:] = ACKNOWLEDGED
        lanes[number] = lane
    return Ledger(fleet, lanes)


@pytest.fixture
async def connection(schema: str, ledger: Ledger) -> AsyncIterator[Connection]:
    """A session in a database that holds the run as a faithful daemon would have stored it."""
    connection = await asyncpg.connect(schema)
    async with connection.transaction():
        for lane in ledger.lanes:
            await store(connection, FLEET, lane)
    yield connection
    await connection.close()


@pytest.fixture
def verdict(schema: str, connection: Connection, ledger: Ledger) -> Verdict:
    """Asks the oracle about the database as it is then."""
    del connection
    return lambda: verify(schema, ledger)


async def store(connection: Connection, fleet: Fleet, lane: int) -> None:
    """Store a lane's messages once, reading them with nothing of the simulator's but packets."""
    stored: set[tuple[str, bytes]] = set()
    for slot, packet in enumerate(packets_of(LaneEncoder(fleet, lane).block(0, SLOTS).data)):
        _, tenant, device, *metric = packet.topic.split("/")
        every = fleet.malformed_every
        if every and slot % every == every - 1:
            reason = abuse_of(fleet, lane, slot // every).reason
            await store_letter(connection, tenant, device, packet.payload, reason)
            continue
        if (packet.topic, packet.payload) in stored:
            continue
        stored.add((packet.topic, packet.payload))
        path = fleet.timestamp_path if fleet.shape == "flat" else None
        name = metric[0] if fleet.untimed else None
        for number, sample in enumerate(
            samples_of(packet.payload, metric=name, timestamp_path=path)
        ):
            await store_reading(
                connection,
                (tenant, device, sample.metric),
                sample.ts_us or fleet.start_us + slot * 1_000 + number,
                sample.value,
                sample.quality,
            )


async def store_letter(
    connection: Connection, tenant: str | None, device: str | None, payload: bytes, reason: str
) -> None:
    await connection.execute(
        "insert into dead_letters (received_at, tenant, device, payload, reason, detail)"
        " values (now(), $1, $2, $3, $4, '')",
        *(tenant, device, payload, reason),
    )


async def store_reading(
    connection: Connection,
    series: tuple[str, str, str],
    ts_us: int,
    value: float | str,
    quality: int | None = 192,
) -> None:
    await connection.execute("select register_device($1, $2)", *series[:2])
    series_id = await connection.fetchval(
        "insert into series (device_id, metric)"
        " select device_id, $3 from devices join tenants using (tenant_id)"
        " where tenants.name = $1 and devices.name = $2"
        " on conflict (device_id, metric) do update set metric = excluded.metric"
        " returning series_id",
        *series,
    )
    ts = EPOCH + timedelta(microseconds=ts_us)
    if isinstance(value, str):
        insert = "insert into readings_text (series_id, ts, value) values ($1, $2, $3)"
        await connection.execute(insert, series_id, ts, value)
        return
    insert = "insert into readings (series_id, ts, value, quality) values ($1, $2, $3, $4)"
    await connection.execute(insert, series_id, ts, value, quality)


async def test_a_faithful_database_holds(verdict: Verdict) -> None:
    account = await verdict()
    assert account.holds
    assert (account.published, account.acknowledged) == (MESSAGES, MESSAGES)
    assert account.expected_readings == account.stored_readings == READINGS
    assert sum(account.dead_lettered.values()) == MALFORMED
    assert account.messages_per_second > 0


async def test_the_account_is_the_sum_of_the_tenants(verdict: Verdict) -> None:
    account = await verdict()
    assert list(account.tenants) == [FLEET.tenant(0), FLEET.tenant(1)]
    for count in ("published", "acknowledged", "expected_readings", "stored_readings", "lost"):
        whole = getattr(account, count)
        assert sum(getattr(tenant, count) for tenant in account.tenants.values()) == whole
    letters = [tenant.dead_lettered for tenant in account.tenants.values()]
    assert sum(letters) == MALFORMED
    assert all(letters)


async def test_a_loss_is_its_tenants(verdict: Verdict, connection: Connection) -> None:
    await connection.execute(
        "delete from readings using series join devices using (device_id) join tenants"
        " using (tenant_id) where readings.series_id = series.series_id and tenants.name = $1",
        FLEET.tenant(1),
    )
    account = await verdict()
    kept, emptied = account.tenants.values()
    assert (kept.lost, kept.stored_readings) == (0, kept.expected_readings)
    assert (emptied.lost, emptied.stored_readings) == (emptied.expected_readings, 0)


UNSTEADY = {
    "jitter_us": 900_000, "skew_us": 60_000_000, "late_every": 4, "repeat_every": 3,
    "malformed_every": 7, "abuse": AbuseWeights(hostile=0),
}  # fmt: skip
NAMING = "devices/{tenant}/{device}/{metric}"
OTHERS: dict[str, dict[str, object]] = {
    "envelope": {"type": "pump", **UNSTEADY},
    "detailed": {"clock": "iso", **UNSTEADY},
    "batch": {"type": "power_meter", "shape": "list", "batch": 3, "clock": "s", **UNSTEADY},
    "flat": {"type": "vehicle", "shape": "flat", "clock": "ms"},
    "scalar": {"shape": "scalar", "topic": NAMING, "late_every": 4, "repeat_every": 3},
}


@pytest.mark.parametrize("name", OTHERS)
async def test_faults_are_found_in_every_shape(schema: str, name: str) -> None:
    fleet = msgspec.structs.replace(FLEET, **{"metrics": 0, "malformed_every": 0, **OTHERS[name]})
    ledger = ledger_of(fleet)
    connection = await asyncpg.connect(schema)
    async with connection.transaction():
        for lane in ledger.lanes:
            await store(connection, fleet, lane)
    account = await verify(schema, ledger)
    assert account.holds, account
    assert account.stored_readings == account.expected_readings > 0
    assert account.restamped == 0
    tables = ("readings",) if fleet.untimed else ("readings", "readings_text")
    for table in tables:
        other = "value || '?'" if table == "readings_text" else "value + 1"
        await connection.execute(f"update {table} set value = {other} where {one_of(table)}")
    assert (await verify(schema, ledger)).faults == {"corrupt": len(tables)}
    for table in tables:
        await connection.execute(f"delete from {table} where {one_of(table)}")
    assert (await verify(schema, ledger)).faults == {"lost": len(tables)}
    await connection.close()


def one_of(table: str) -> str:
    """One row of a table, the same one every time."""
    return ONE_READING.replace("readings", table)


async def test_a_reading_without_a_time_may_be_stored_twice(schema: str) -> None:
    fleet = msgspec.structs.replace(FLEET, shape="scalar", topic=NAMING, malformed_every=0)
    connection = await asyncpg.connect(schema)
    for lane in range(fleet.lanes):
        await store(connection, fleet, lane)
    await connection.execute(
        "insert into readings select series_id, quality, ts + interval '1 hour', value"
        f" from readings where {ONE_READING}"
    )
    await connection.close()
    account = await verify(schema, ledger_of(fleet))
    assert account.holds
    assert account.restamped == 1


async def test_latency_is_from_sending_to_commit(verdict: Verdict, connection: Connection) -> None:
    if await connection.fetchval("show track_commit_timestamp") != "on":
        pytest.skip("this server keeps no commit timestamps")
    latency = (await verdict()).latency_ms
    assert latency.p50 is not None
    assert latency.p99 is not None
    assert 0 < latency.p50 <= latency.p99 < 600_000


async def test_latency_counts_from_when_a_message_was_due(
    schema: str, connection: Connection, ledger: Ledger
) -> None:
    if await connection.fetchval("show track_commit_timestamp") != "on":
        pytest.skip("this server keeps no commit timestamps")
    sent_us = ledger.span_us[0]
    for lane in ledger.lanes.values():
        lane.started_us = sent_us - 3_600_000_000
    schedule = Schedule(seed=1, lanes=FLEET.lanes, pace=Steady(1_000.0))
    latency = (await verify(schema, ledger._replace(schedule=schedule))).latency_ms
    assert latency.p50 is not None
    assert latency.p50 > 3_500_000


async def test_other_data_in_the_database_is_let_be(
    verdict: Verdict, connection: Connection
) -> None:
    await store_reading(connection, ("acme", "pump", "flow"), FLEET.start_us, 1.0)
    await store_letter(connection, "acme", "pump", b"{", "malformed")
    assert (await verdict()).holds


@pytest.mark.parametrize(
    ("damage", "faults"),
    [
        (f"delete from readings where {ONE_READING}", {"lost": 1}),
        ("delete from readings", {"lost": READINGS}),
        ("delete from series", {"lost": READINGS}),
        (f"update readings set value = value + 0.001 where {ONE_READING}", {"corrupt": 1}),
        (f"update readings set value = 'NaN' where {ONE_READING}", {"corrupt": 1}),
        (f"update readings set quality = 0 where {ONE_READING}", {"corrupt": 1}),
        (
            f"update readings set ts = ts + interval '1 us' where {ONE_READING}",
            {"lost": 1, "invented": 1},
        ),
        (
            (
                "insert into readings select series_id, quality, ts + interval '1 day', value"
                f" from readings where {ONE_READING}"
            ),
            {"invented": 1},
        ),
        (
            (
                "insert into readings_text select series_id, ts, 'x' from readings"
                f" where {ONE_READING}"
            ),
            {"invented": 1},
        ),
        (f"delete from dead_letters where {ONE_LETTER}", {"lost": 1}),
        (
            f"update dead_letters set reason = 'storage_error' where {ONE_LETTER}",
            {"misjudged": 1},
        ),
        (
            (
                "update dead_letters set payload = replace(encode(payload, 'escape'),"
                f" 'sim-00c0ffee-0-', 'sim-00c0ffee-7-')::bytea where {ONE_LETTER}"
            ),
            {"lost": 1, "invented": 1},
        ),
    ],
)
async def test_damage_is_found(
    verdict: Verdict, connection: Connection, damage: str, faults: dict[str, int]
) -> None:
    assert (await connection.execute(damage)).split()[-1] != "0"
    account = await verdict()
    assert account.faults == faults
    assert not account.holds


async def test_a_reading_under_a_second_series_id_is_a_duplicate(
    verdict: Verdict, connection: Connection
) -> None:
    await connection.execute("alter table series drop constraint series_device_id_metric_key")
    twin = await connection.fetchval(
        "insert into series (device_id, metric) select device_id, metric from series limit 1"
        " returning series_id"
    )
    copied = await connection.execute(
        "insert into readings select $1, quality, ts, value from readings join series"
        " using (series_id) where (device_id, metric) ="
        " (select device_id, metric from series where series_id = $1)",
        twin,
    )
    assert (await verdict()).faults == {"duplicates": int(copied.split()[-1])}


async def test_a_reading_under_another_tenant_is_invented(
    verdict: Verdict, connection: Connection
) -> None:
    await store_reading(
        connection, ("intruder", FLEET.device(0), "temperature"), FLEET.start_us, 1.0
    )
    assert (await verdict()).faults == {"invented": 1}


async def test_a_malformed_message_that_was_stored_is_invented(
    verdict: Verdict, connection: Connection
) -> None:
    series = (FLEET.tenant(0), FLEET.device(0), "sim-00c0ffee-0-0.")
    await store_reading(connection, series, FLEET.start_us, 1.0)
    assert (await verdict()).faults == {"invented": 1}


async def test_a_reading_both_stored_and_dead_lettered_is_found(
    verdict: Verdict, connection: Connection
) -> None:
    ts = (EPOCH + timedelta(microseconds=FLEET.start_us)).isoformat()
    payload = json.dumps({"ts": ts, "metrics": {"temperature": {"value": 1.0}}}).encode()
    names = (FLEET.tenant(0), FLEET.device(0))
    await store_letter(connection, *names, payload, "storage_error")
    account = await verdict()
    assert account.faults == {"both": 1, "refused": 1}
    assert account.dead_lettered["storage_error"] == 1


async def test_a_reading_dead_lettered_in_place_of_being_stored_is_not_lost(
    verdict: Verdict, connection: Connection
) -> None:
    payload = json.dumps(
        {"ts": FLEET.start_us, "metrics": {"temperature": 1.0, "humidity": 1.0}}
    ).encode()
    await connection.execute(
        "delete from readings using series join devices using (device_id)"
        " where readings.series_id = series.series_id and devices.name = $1 and ts = $2",
        *(FLEET.device(0), EPOCH + timedelta(microseconds=FLEET.start_us)),
    )
    await store_letter(connection, FLEET.tenant(0), FLEET.device(0), payload, "bad_value")
    assert (await verdict()).faults == {"refused": 2}


async def test_a_dead_letter_of_nothing_that_was_sent_is_invented(
    verdict: Verdict, connection: Connection
) -> None:
    await store_letter(connection, FLEET.tenant(0), FLEET.device(0), b"{}", "malformed")
    assert (await verdict()).faults == {"invented": 1}


async def test_a_repeated_dead_letter_is_told_but_is_no_fault(
    verdict: Verdict, connection: Connection
) -> None:
    await connection.execute(
        "insert into dead_letters (received_at, tenant, device, payload, reason, detail)"
        f" select received_at, tenant, device, payload, reason, detail from dead_letters"
        f" where {ONE_LETTER}"
    )
    account = await verdict()
    assert account.holds
    assert account.repeated_dead_letters == 1


async def test_what_was_not_acknowledged_may_be_missing_or_not(
    verdict: Verdict, connection: Connection, ledger: Ledger
) -> None:
    ledger.lanes[0].outcome[:5] = WAITING
    await connection.execute(f"delete from readings where {ONE_READING}")
    await connection.execute(f"delete from dead_letters where {ONE_LETTER}")
    account = await verdict()
    assert account.holds
    assert account.expected_readings == READINGS - 4 * FLEET.metrics
    assert account.acknowledged == MESSAGES - 5


async def test_a_database_that_is_not_there_is_an_error(ledger: Ledger) -> None:
    with pytest.raises(OracleError, match="could not be read"):
        await verify("postgresql://postgres@127.0.0.1:1/nowhere", ledger)
