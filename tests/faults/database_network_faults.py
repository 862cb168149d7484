"""What happens between the daemon and its database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from tests.faults.experiment import Catalogue
from tests.faults.outage import Outage
from tests.faults.trial import LONG_MESSAGES, RATE, SHORT_MESSAGES, Trial
from tests.support.commits import Commits
from tests.support.daemon_process import wait_until
from tests.support.publishing import rows_of
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

TERMINATE_SECONDS = 0.2
TERMINATE_ALL = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = 'penstock' and datname = current_database()
"""
PATIENCE_SECONDS = 2.0
"""`spool.after_seconds` as shipped: how soon a database that is silent has to be noticed."""
TIMEOUT_SECONDS = 30.0
"""`storage.timeout_seconds` as shipped: how soon everybody has to have noticed."""
SHORT_TIMEOUT_SECONDS = 2.0
"""The same without a spool: shorter than shipped, because it is waited for."""
SLACK_SECONDS = 5.0
"""For the batch that has to come first, and for machines that are shared."""
SLOW_BYTES_PER_SECOND = 10_000


@catalogue.experiment(7, "database connections terminated every 200 ms")
def terminate_connections(trial: Trial) -> None:
    terminated = 0
    with trial.under_load():
        outage = Outage(trial)
        before = outage.acknowledged()
        due_seconds = time.monotonic()
        for _ in trial.times(short=15, long=600):
            terminated += rows_of(trial.dsn, TERMINATE_ALL)[0][0]
            due_seconds += TERMINATE_SECONDS
            time.sleep(max(0.0, due_seconds - time.monotonic()))
        acknowledged = outage.acknowledged() - before
    trial.expect(terminated >= trial.runs, f"a session terminated each time, not {terminated}")
    # A quarter of what was published, because machines are shared.
    least = trial.runs * TERMINATE_SECONDS * RATE / 4
    trial.expect(acknowledged >= least, f"{least:g} messages acknowledged, not {acknowledged:g}")


@catalogue.experiment(8, "the database a black hole")
def swallow_everything(trial: Trial) -> None:
    hang_with_a_spool(trial)
    retire(trial)
    hang_without_a_spool(trial)


@catalogue.experiment(9, "ambiguous commit: cut after COMMIT was sent and before the answer")
def hide_commits(trial: Trial) -> None:
    commits = Commits()
    hide_some(trial, commits, spool={})
    if trial.problems:
        return  # a daemon that stands still would only do so for longer
    retire(trial)
    hide_some(trial, commits, spool={"path": None})
    trial.expect(commits.hidden == trial.pick(4, 100), f"all hidden, not {commits.hidden}")


@catalogue.experiment(10, "the database at 10 kB/s")
def slow_the_database_down(trial: Trial) -> None:
    proxy = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=proxy.through(trial.dsn))
    with trial.under_load():
        outage = Outage(trial)
        for _ in trial.times(short=1, long=1):
            proxy.bytes_per_second = SLOW_BYTES_PER_SECOND
            outage.last(trial.pick(4, 60))
            proxy.bytes_per_second = None


def hang_with_a_spool(trial: Trial) -> None:
    proxy = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=proxy.through(trial.dsn))
    with trial.under_load(messages=half_a_load(trial)):
        outage = Outage(trial)
        for _ in trial.times(short=1, long=1):
            with hanging(proxy) as since:
                expect_noticed(trial, "store_failed", since, PATIENCE_SECONDS)
                outage.last(trial.pick(1, 40))
            if trial.long:
                expect_noticed(trial, "database_unavailable", since, TIMEOUT_SECONDS)


def hang_without_a_spool(trial: Trial) -> None:
    proxy = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(
        dsn=proxy.through(trial.dsn),
        spool={"path": None},
        storage={"timeout_seconds": SHORT_TIMEOUT_SECONDS},
    )
    with trial.under_load(messages=half_a_load(trial)):
        Outage(trial)
        for _ in trial.times(short=1, long=3):
            with hanging(proxy) as since:
                expect_noticed(trial, "store_failed", since, SHORT_TIMEOUT_SECONDS)


def hide_some(trial: Trial, commits: Commits, spool: dict[str, object]) -> None:
    """Hide commits, and expect that the daemon finds what they stored."""
    proxy = trial.enter(TcpProxy.before(trial.dsn, watch=commits.watch))
    trial.configure(dsn=proxy.through(trial.dsn), spool=spool)
    times = trial.pick(2, 50)
    with trial.under_load(messages=half_a_load(trial)):
        for _ in trial.times(short=2, long=50):
            commits.wanted = True
            wait_until(
                lambda: not commits.wanted,
                "a commit was hidden",
                within_seconds=trial.drain_seconds,
            )
            trial.wait(0.02, 0.3)
    trial.drain()
    found = trial.daemon.metric("penstock_readings_duplicate_total")
    trial.expect(found >= times, f"readings of {times} batches were found again, not {found:g}")


def retire(trial: Trial) -> None:
    """End the daemon when it has stored all that it was sent, to make room for another."""
    trial.drain()
    trial.daemon.stop()


def half_a_load(trial: Trial) -> int:
    """How much to publish when two daemons, one after the other, are each given a load."""
    return trial.pick(SHORT_MESSAGES, LONG_MESSAGES) // 2


@contextmanager
def hanging(proxy: TcpProxy) -> Iterator[datetime]:
    """Let nothing through, either way, while connections stay and new ones are taken; since when.

    What was held back passes in the end.
    """
    since = datetime.now(UTC)
    proxy.hangs = True
    try:
        yield since
    finally:
        proxy.hangs = False


def expect_noticed(trial: Trial, event: str, since: datetime, limit_seconds: float) -> None:
    """Wait until the daemon has logged an event, and expect that it did so in good time."""

    def logged() -> list[datetime]:
        times = [datetime.fromisoformat(line["timestamp"]) for line in trial.daemon.events(event)]
        return [when for when in times if when >= since]

    wait_until(lambda: bool(logged()), f"the daemon logged {event}")
    seconds = (logged()[0] - since).total_seconds()
    trial.expect(
        seconds <= limit_seconds + SLACK_SECONDS,
        f"{event} within {limit_seconds:g} s, but only after {seconds:.1f} s",
    )
