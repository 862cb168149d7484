"""Nothing acknowledged is lost and nothing is stored twice, judged by the simulator's oracle.

The same experiment is run on a daemon that is broken on purpose, to show that it can fail.
"""

import random
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from penstock import sandbox
from tests.support.daemon_process import BROKEN, PENSTOCK, DaemonProcess, wait_until
from tests.support.load import Load, drain
from tests.support.publishing import locked

KILLS = 4


def make_daemon(
    folder: Path, mqtt_url: str, dsn: str, load_topic: str, command: tuple[str, ...] = PENSTOCK
) -> DaemonProcess:
    return DaemonProcess(
        folder,
        mqtt_url=mqtt_url,
        dsn=dsn,
        command=command,
        routes=[{"topic": load_topic}],
        settings={"storage": {"retry_max_seconds": 0.5}, "mqtt": {"reconnect_max_seconds": 0.5}},
    )


def kill_under_load(daemon: DaemonProcess, load: Load, dsn: str, seed: int) -> None:
    """Kill and restart the daemon at seeded moments while the load lasts, then let it drain.

    At every second moment a lock keeps the writers from committing what they hold.
    """
    moments = random.Random(seed)
    for kill in range(KILLS):
        time.sleep(moments.uniform(0.2, 1.0))
        with locked(dsn, "readings") if kill % 2 else nullcontext():
            time.sleep(0.3)
            daemon.kill()
        daemon.start()
    load.publish_at_least()
    load.end()
    drain(daemon)


def test_kill_9_under_load_loses_and_doubles_nothing(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/{{tenant}}/{{device}}/telemetry"
    with (
        make_daemon(tmp_path, mqtt_url, database, topic) as daemon,
        Load(tmp_path, mqtt_url, topic_prefix, malformed=0.01) as load,
    ):
        kill_under_load(daemon, load, database, seed=1)
    account = load.account(database)
    assert account["acknowledged"] >= 10_000
    assert account["stored_readings"] == account["expected_readings"]
    assert (account["lost"], account["duplicates"], account["corrupt"]) == (0, 0, 0)
    assert account["dead_lettered"]


def test_a_daemon_that_acknowledges_before_the_commit_is_caught(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}/{{tenant}}/{{device}}/telemetry"
    command = (*BROKEN, "acknowledge_before_commit")
    with (
        make_daemon(tmp_path, mqtt_url, database, topic, command) as daemon,
        Load(tmp_path, mqtt_url, topic_prefix) as load,
    ):
        kill_under_load(daemon, load, database, seed=1)
    assert load.account(database)["lost"] > 0


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_broker_restart_loses_and_doubles_nothing(
    tmp_path: Path, database: str, topic_prefix: str, end: str
) -> None:
    topic = f"{topic_prefix}/{{tenant}}/{{device}}/telemetry"
    with (
        sandbox.scratch_folder() as folder,
        sandbox.Broker(folder / "broker") as broker,
        make_daemon(tmp_path, broker.url, database, topic) as daemon,
    ):
        # A killed broker knows the session from the first time that it saved itself after it.
        if end == "kill":
            wait_until(
                lambda: any(broker.folder.rglob("mosquitto.db")), "the broker has saved the session"
            )
        with Load(tmp_path, broker.url, topic_prefix) as load:
            for _ in range(2):
                time.sleep(1.5)
                (broker.stop if end == "stop" else broker.kill)()
                broker.start()
            load.publish_at_least()
            load.end()
        drain(daemon)
        account = load.account(database)
    assert account["acknowledged"] >= 10_000
    assert (account["lost"], account["duplicates"], account["corrupt"]) == (0, 0, 0)
