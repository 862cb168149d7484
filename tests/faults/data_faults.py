"""What is wrong with the data, and with the tables that it goes to."""

import json
import subprocess
import time

from penstock.storage.migrations import shipped_migrations
from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.command_line import PENSTOCK
from tests.support.daemon_process import DEADLINE_SECONDS, wait_until
from tests.support.publishing import publish, rows_of
from tests.support.schema import COMMANDS, forget_hold, migration_held, run_all, schema_of
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

METRICS, MESSAGES = 1_000, 5
"""Of a batch of 5,000 readings, which is as many as a batch holds."""
MOST_ATTEMPTS = 27
"""The whole batch, and two for each halving of 5,000 rows."""
POISON = -300.0
"""Which only the database refuses."""

REFUSE_POISON = (
    "alter table readings add constraint no_colder_than_possible check (value >= -273.15)"
)
# A sequence does not go back with the transaction that failed.
COUNT_ATTEMPTS = (
    "create sequence attempts",
    """create function count_attempt() returns trigger language plpgsql as
        $$ begin perform nextval('attempts'); return null; end $$""",
    """create trigger count_attempts before insert on readings
        for each statement execute function count_attempt()""",
)


@catalogue.experiment(22, "one poison row in 5,000")
def one_poison_row(trial: Trial) -> None:
    trial.daemon.start()
    run_all(trial.dsn, (REFUSE_POISON, *COUNT_ATTEMPTS))
    for number in trial.times(short=1, long=20):
        before = _attempts(trial)
        stored, dead = _store_poisoned_batch(trial, f"batch-{number}")
        attempts = _attempts(trial) - before
        trial.expect((stored, dead) == (4_999, 1), f"4,999 and 1, but {stored} and {dead}")
        trial.expect(1 < attempts <= MOST_ATTEMPTS, f"at most 27 attempts, but {attempts}")
    with trial.load():
        poison = trial.pick(3, 50)
        for number in range(poison):
            trial.wait(0.0, 0.1)
            publish(trial.servers.broker.url, [(_topic(trial, f"mad-{number}"), _payload(POISON))])
        trial.recover()
    trial.drain()
    condemned = rows_of(
        trial.dsn,
        "select from dead_letters"
        " where device like 'mad-%' and reason = 'storage_error' and sqlstate = '23514'",
    )
    trial.expect(len(condemned) == poison, "a dead letter for each poison row among the load")


def _store_poisoned_batch(trial: Trial, device: str) -> tuple[int, int]:
    """Have one batch of 5,000 readings arrive, one of them poison; what was stored and what not."""
    poison = trial.random.randrange(METRICS * MESSAGES)
    values = [POISON if row == poison else float(row) for row in range(METRICS * MESSAGES)]
    messages = [
        (_topic(trial, device), _payload(*values[start : start + METRICS]))
        for start in range(0, len(values), METRICS)
    ]
    sealed_full = trial.daemon.metric("penstock_batches_sealed_total", cause="rows")
    # What comes at once is one batch.
    trial.broker_proxy.hangs = True
    publish(trial.servers.broker.url, messages)
    trial.broker_proxy.hangs = False
    wait_until(lambda: sum(_fate(trial, device)) >= len(values), "the batch is stored")
    now_full = trial.daemon.metric("penstock_batches_sealed_total", cause="rows")
    trial.expect(now_full == sealed_full + 1, "the 5,000 readings are one batch")
    return _fate(trial, device)


def _fate(trial: Trial, device: str) -> tuple[int, int]:
    """How many of a device's readings are stored, and how many are dead letters."""
    ((stored, dead),) = rows_of(
        trial.dsn,
        "select (select count(*) from readings join series using (series_id)"
        f" join devices using (device_id) where name = '{device}'),"
        f" (select count(*) from dead_letters where device = '{device}' and sqlstate = '23514')",
    )
    return stored, dead


def _attempts(trial: Trial) -> int:
    """How often somebody tried to put something into `readings`."""
    ((attempts,),) = rows_of(
        trial.dsn, "select case when is_called then last_value else 0 end from attempts"
    )
    assert isinstance(attempts, int)
    return attempts


def _topic(trial: Trial, device: str) -> str:
    return f"{trial.prefix}/plant/{device}/telemetry"


def _payload(*values: float) -> str:
    metrics = {f"metric-{number}": value for number, value in enumerate(values)}
    return json.dumps({"ts": time.time_ns() // 1_000, "metrics": metrics})


@catalogue.experiment(24, "two migrations at once, one killed midway")
def migrations_at_once(trial: Trial) -> None:
    complete = _schema_made_by_two(trial)
    for _ in trial.times(short=1, long=12):
        trial.dsn = trial.servers.new_database()
        trial.configure()
        command = trial.random.randint(1, COMMANDS)
        _migrate_and_kill_one(trial, command)
        same = schema_of(trial.dsn) == complete
        trial.expect(same, f"the schema is complete after a kill in command {command} of DDL")
    with trial.under_load():
        pass


def _schema_made_by_two(trial: Trial) -> list[tuple[str, ...]]:
    """The schema that two migrations at once make when nobody is in their way."""
    both = [_migrate(trial), _migrate(trial)]
    outputs = [_output_of(one) for one in both]
    trial.expect([one.returncode for one in both] == [0, 0], f"both succeed: {outputs}")
    applied = sorted(line for output in outputs for line in output.splitlines())
    wanted = [f"applied {migration.name}" for migration in shipped_migrations()]
    trial.expect(
        [line for line in applied if line.startswith("applied ")] == wanted,
        f"each migration is applied once: {outputs}",
    )
    return schema_of(trial.dsn)


def _migrate_and_kill_one(trial: Trial, command: int) -> None:
    """Migrate twice at once, kill one at its so-manieth command of DDL, and migrate once more."""
    with migration_held(trial.dsn, at_command=command) as until_waiting:
        first = _migrate(trial)
        until_waiting(1)
        second = _migrate(trial)
        until_waiting(2)
        first.kill()
        _output_of(first)
    output = _output_of(second)
    trial.expect(second.returncode == 0, f"the other one does the work: {output}")
    output = _output_of(_migrate(trial))
    trial.expect("nothing to apply" in output, f"nothing is left to do: {output}")
    forget_hold(trial.dsn)


def _migrate(trial: Trial) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PENSTOCK, "migrate", "--config", str(trial.daemon.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _output_of(process: subprocess.Popen[str]) -> str:
    """All that it says to its end."""
    return process.communicate(timeout=DEADLINE_SECONDS)[0]


@catalogue.experiment(26, "ten thousand unknown devices appear during an outage")
def unknown_devices(trial: Trial) -> None:
    proxy = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=proxy.through(trial.dsn))
    trial.daemon.start()
    tenants, devices = 10, trial.pick(100, 1_000)
    fleet = ("--tenants", str(tenants), "--devices", str(devices))
    for _ in trial.times(short=1, long=1):
        proxy.refuses = True
        proxy.cut()
        with trial.load(options=fleet) as load:
            # Each device in its turn, and some messages are malformed.
            load.publish_at_least(round(1.05 * tenants * devices))
            _wait_until_spooled(trial, readings=3 * tenants * devices)
            trial.expect(_registered(trial) == (0, 0), "nobody is registered in the outage")
            proxy.refuses = False
            trial.recover()
    trial.drain()
    found = _registered(trial)
    wanted = tenants * devices, 3 * tenants * devices
    trial.expect(found == wanted, f"{wanted} devices and series are registered, not {found}")


def _wait_until_spooled(trial: Trial, *, readings: int) -> None:
    wait_until(
        lambda: trial.daemon.metric("penstock_spool_rows") >= readings, "all devices are spooled"
    )


def _registered(trial: Trial) -> tuple[int, int]:
    """How many simulated devices and series the database knows."""
    (found,) = rows_of(
        trial.dsn,
        "select count(distinct device_id), count(series_id) from devices"
        " left join series using (device_id) where name like 'sensor-%'",
    )
    return found[0], found[1]
