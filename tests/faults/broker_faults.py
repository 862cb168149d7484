"""What happens to the broker, to the way there, and to the session with it."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.faults.experiment import Catalogue
from tests.faults.trial import RATE, Trial
from tests.support.daemon_process import wait_until
from tests.support.intruder import Intruder
from tests.support.publishing import publish, rows_of
from tests.support.tcp_proxy import TcpProxy

catalogue = Catalogue()

RESET_SECONDS = 2.0
SLICED_BYTES_SHORT, SLICED_BYTES_LONG = 100_000, 3_000_000
MEMORY_BYTES = 64 * 1024 * 1024
"""By how much the daemon may grow under ten times its load."""
LEAST_FLOOD = 8
"""How many times the load has to come for a flood, on a machine that is shared."""
RETAINED = 20
STORED_RETAINED = """
    select count(*) from tenants join devices using (tenant_id) join series using (device_id)
    join readings using (series_id) where tenants.name = 'retained'
"""


@catalogue.experiment(16, "the broker restarted with TERM and with KILL")
def restart_the_broker(trial: Trial) -> None:
    broker = trial.servers.broker
    with trial.under_load():
        for restart in trial.times(short=2, long=20):
            # The first ends with TERM, at which the broker saves the session. What a kill may cost
            # from then on is what Penstock has not received yet: nothing, once it has caught up.
            trial.recover()
            trial.wait(0.2, 1.0)
            (broker.kill if restart % 2 else broker.stop)()
            broker.start()
    trial.expect(connections(trial) > trial.runs, "the daemon has reconnected every time")
    trial.expect(sessions_lost(trial) == 0, "the broker has kept the session")


@catalogue.experiment(17, "broker and database reset every 2 s; the broker's bytes one by one")
def reset_and_slice(trial: Trial) -> None:
    database = trial.enter(TcpProxy.before(trial.dsn))
    trial.configure(dsn=database.through(trial.dsn))
    with trial.under_load():
        for _ in trial.times(short=1, long=30):
            time.sleep(RESET_SECONDS)
            trial.expect(trial.broker_proxy.cut(), "a connection to the broker was cut")
            trial.expect(database.cut(), "a connection to the database was cut")
        slice_what_the_broker_sends(trial)
    trial.expect(connections(trial) >= trial.runs, "the daemon has reconnected every time")


def slice_what_the_broker_sends(trial: Trial) -> None:
    """Pass many bytes one by one."""
    proxy = trial.broker_proxy
    end = proxy.bytes_to_client + trial.pick(SLICED_BYTES_SHORT, SLICED_BYTES_LONG)
    trial.runs += 1
    proxy.slice_bytes = 1
    wait_until(lambda: proxy.bytes_to_client >= end, "all slices have passed", within_seconds=300)
    proxy.slice_bytes = None


@catalogue.experiment(18, "a second client takes the client id")
def take_the_client_id(trial: Trial) -> None:
    trial.configure(mqtt={"client_id": trial.prefix})
    with trial.under_load():
        for _ in trial.times(short=1, long=12):
            trial.wait(0.2, 1.5)
            with Intruder(trial.servers.broker.url, trial.prefix) as intruder:
                intruder.wait_for_the_end(within_seconds=60)
            trial.expect(intruder.found_session, "there was a session to take")
            wait_until(lambda: subscribed(trial), "the daemon has its session again")
        # The last one leaves at once, so that the daemon has to come back by itself.
        trial.wait(0.2, 1.5)
        with Intruder(trial.servers.broker.url, trial.prefix):
            trial.runs += 1
    reasons = [event["reason"] for event in trial.daemon.events("mqtt_disconnected")]
    trial.expect(reasons.count("session_taken_over") == 1, "the log has the takeover")
    trial.expect(
        reasons.count("client_id_contested") == trial.runs - 1, "the log has all the others"
    )
    trial.expect(sessions_lost(trial) == 0, "the broker has kept the session")


@catalogue.experiment(19, "ten times the load for 60 s")
def load_tenfold(trial: Trial) -> None:
    # Past the proxy, which would be the bottleneck.
    trial.configure(mqtt_url=trial.servers.broker.url)
    messages = 10 * RATE * trial.pick(3, 60)
    with trial.under_load():
        before_bytes = most_memory_bytes(trial)
        trial.runs += 1
        # What a slower machine cannot take in that time it takes later.
        with trial.load(rate=9 * RATE, options=("--connections", "8")):
            received_before, began_seconds = received(trial), time.monotonic()
            wait_until(lambda: received(trial) >= messages, "all was received", within_seconds=300)
            rate = (received(trial) - received_before) / (time.monotonic() - began_seconds)
    least = LEAST_FLOOD * RATE
    trial.expect(not trial.long or rate >= least, f"a flood of {least} messages/s, not {rate:.0f}")
    growth_bytes = most_memory_bytes(trial) - before_bytes
    trial.expect(growth_bytes <= MEMORY_BYTES, f"memory is bounded, but grew by {growth_bytes:,}")


def most_memory_bytes(trial: Trial) -> int:
    """The most that the daemon was ever resident with (VmHWM, proc(5))."""
    status = Path(f"/proc/{trial.daemon.process_id}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@catalogue.experiment(25, "retained messages and reconnects")
def reconnect_with_retained_messages(trial: Trial) -> None:
    # One session, so that each way of asking finds it as the one before has left it.
    own = {"client_id": trial.prefix}
    trial.configure(mqtt={**own, "retained": "new"})
    trial.enter(retained_messages(trial))
    trial.daemon.start()
    wait_until(lambda: retained_received(trial) == RETAINED, "the retained messages came")
    trial.drain()  # what is not acknowledged would come again for that
    with trial.load():
        reconnect(trial, brought=0)
        trial.expect(retained_received(trial) == RETAINED, "they came to a new session only")
        restart(trial, mqtt={**own, "retained": "never"})
        reconnect(trial, brought=0)
        trial.expect(retained_received(trial) == 0, "none came")
        restart(trial, mqtt={**own, "retained": "always"})
        reconnect(trial, brought=RETAINED)
        trial.recover()
    trial.expect(rows_of(trial.dsn, STORED_RETAINED) == [(RETAINED,)], "each is stored once")


@contextmanager
def retained_messages(trial: Trial) -> Iterator[None]:
    """Leave messages at the broker for whoever subscribes, each with its own time."""
    url = trial.servers.broker.url
    topics = [f"{trial.prefix}/retained/{number}/telemetry" for number in range(RETAINED)]
    payload = json.dumps({"ts": datetime.now(UTC).isoformat(), "metrics": {"level": 1}})
    publish(url, [(topic, payload) for topic in topics], retain=True)
    yield
    publish(url, [(topic, b"") for topic in topics], retain=True)


def restart(trial: Trial, *, mqtt: Mapping[str, object]) -> None:
    """Go on with another configuration."""
    trial.daemon.stop()
    trial.configure(mqtt=mqtt)
    trial.daemon.start()


def reconnect(trial: Trial, *, brought: int) -> None:
    """Cut the connection over and over, each time after it has brought so many messages."""
    due = 0.0
    for cut in trial.times(short=1, long=34):
        due = retained_came(trial, due + brought)
        trial.wait(0.5, 0.7)  # longer than the first pause before a connection, so none is longer
        trial.expect(trial.broker_proxy.cut(), "a connection to the broker was cut")
        wait_until(partial(has_connected, trial, cut + 2), "it has reconnected")
    retained_came(trial, due + brought)


def retained_came(trial: Trial, due: float) -> float:
    """Wait for so many retained messages, and return how many have come."""
    wait_until(lambda: retained_received(trial) >= due, "the retained messages came")
    return retained_received(trial)


def received(trial: Trial) -> float:
    """Messages since the daemon was started."""
    return trial.daemon.metric("penstock_messages_received_total")


def retained_received(trial: Trial) -> float:
    return trial.daemon.metric("penstock_readings_received_total", tenant="retained")


def subscribed(trial: Trial) -> bool:
    return trial.daemon.metric("penstock_mqtt_connected") == 1


def connections(trial: Trial) -> float:
    """How many the broker has accepted since the daemon was started."""
    return trial.daemon.metric("penstock_mqtt_connections_total")


def has_connected(trial: Trial, times: int) -> bool:
    return connections(trial) >= times


def sessions_lost(trial: Trial) -> float:
    return trial.daemon.metric("penstock_mqtt_sessions_lost_total")
