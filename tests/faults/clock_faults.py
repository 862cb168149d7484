"""Clocks that are wrong: those of devices, and the daemon's own."""

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta

from tests.faults.experiment import Catalogue
from tests.faults.trial import Trial
from tests.support.publishing import publish, rows_of
from tests.support.stepped_clock import SteppedClock
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

HOUR = timedelta(hours=1)
TEN_YEARS = timedelta(days=3_652)
UNTIMED_AT_ONCE = 200
SECOND = timedelta(seconds=1)
ROUTES: Mapping[str, Mapping[str, int]] = {
    # A daemon that is an hour behind would else refuse readings of the right time.
    "telemetry": {"future_seconds": 2 * HOUR // SECOND},
    "history": {
        "future_seconds": 2 * TEN_YEARS // SECOND,
        "past_seconds": 2 * TEN_YEARS // SECOND,
    },
}
"""What may be how far off, by the last level of the topic."""


@catalogue.experiment(23, "device clocks off by ten years, the daemon's stepped by an hour")
def wrong_clocks(trial: Trial) -> None:
    clock = SteppedClock(trial.folder / "clock")
    database = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(
        command=clock.command,
        dsn=database.through(trial.dsn),
        routes=[
            {"topic": f"{trial.prefix}/{{tenant}}/{{device}}/{kind}", "time": bounds}
            for kind, bounds in ROUTES.items()
        ],
    )
    values = itertools.count()
    with trial.under_load():
        for number in trial.times(short=2, long=20):
            clock.set(seconds_ahead=(HOUR if number % 2 else -HOUR) // SECOND)
            _publish_ten_years_off(trial, f"{number}")
            _publish_untimed(trial, values)
            database.refuses = True
            database.cut()
            _publish_untimed(trial, values)
            trial.wait(0.1, 0.5)
            database.refuses = False
            trial.recover()
            clock.set(seconds_ahead=0)
            _publish_untimed(trial, values)
    trial.drain()
    lasts = trial.daemon.metric("penstock_mqtt_connections_total") == 1
    trial.expect(lasts, "the connection to the broker lasts")
    _expect_all_untimed(trial, sent=next(values))
    _expect_wrong_times_judged(trial)


def _publish_ten_years_off(trial: Trial, name: str) -> None:
    """Send a reading of the past and one of the future, where they are let in and where not."""
    now_us = time.time_ns() // 1_000
    away_us = TEN_YEARS // timedelta(microseconds=1)
    publish(
        trial.servers.broker.url,
        [
            (f"{trial.prefix}/{age}/{age}-{name}/{kind}", _payload(1.0, ts_us))
            for age, ts_us in (("past", now_us - away_us), ("future", now_us + away_us))
            for kind in ROUTES
        ],
    )


def _publish_untimed(trial: Trial, values: Iterator[int]) -> None:
    topic = f"{trial.prefix}/plant/untimed/telemetry"
    some = itertools.islice(values, UNTIMED_AT_ONCE)
    publish(trial.servers.broker.url, [(topic, _payload(float(value))) for value in some])


def _payload(value: float, ts_us: int | None = None) -> str:
    timed = {} if ts_us is None else {"ts": ts_us}
    return json.dumps({**timed, "metrics": {"level": value}})


def _expect_all_untimed(trial: Trial, *, sent: int) -> None:
    """Each is stored once, and at the time that the daemon believed in."""
    ((stored, different, early, late),) = rows_of(
        trial.dsn,
        "select count(*), count(distinct value),"
        " count(*) filter (where ts < now() - interval '55 minutes'),"
        " count(*) filter (where ts > now() + interval '50 minutes')"
        " from telemetry where device = 'untimed'",
    )
    trial.expect(
        (stored, different) == (sent, sent),
        f"{sent} readings without a time are stored, but {stored} are, {different} of them once",
    )
    # Two thirds of them were sent while the clock was off, half of those each way.
    off = early, late
    trial.expect(min(off) >= sent // 3, f"the clock was off each way for a third: {off} of {sent}")


def _expect_wrong_times_judged(trial: Trial) -> None:
    """Each is a dead letter where it is out of bounds, and stored with its time where it is not."""
    for age, sign in (("past", "-"), ("future", "+")):
        ((refused, stored),) = rows_of(
            trial.dsn,
            "select (select count(distinct device) from dead_letters"
            f" where tenant = '{age}' and reason = 'timestamp_out_of_range'),"
            f" (select count(*) from telemetry where tenant = '{age}' and abs(extract(epoch from"
            f" now() {sign} interval '{TEN_YEARS.days} days' - ts)) < 3600)",
        )
        found = refused, stored
        wanted = trial.runs, trial.runs
        trial.expect(found == wanted, f"of the {age}, {wanted} are refused and stored, not {found}")
