"""`penstock doctor` as a command: with everything there, beside a daemon, with nothing there."""

import json
from pathlib import Path

from penstock import sandbox
from penstock.cli.exits import ExitCode
from penstock.sandbox.ports import LOOPBACK, free_port
from tests.support.command_line import Finished, penstock, write_config
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.publishing import publish


def by_check(done: Finished) -> dict[str, dict[str, str]]:
    return {line["check"]: line for line in map(json.loads, done.lines)}


def test_where_all_is_well_it_ends_with_0_and_says_so(
    tmp_path: Path, broker: sandbox.Broker, schema: str
) -> None:
    config = write_config(
        tmp_path,
        mqtt={"url": broker.url},
        storage={"dsn": schema},
        spool={"path": str(tmp_path / "spool.db")},
        http={"listen": f"{LOOPBACK}:{free_port()}"},
    )
    done = penstock("doctor", config)
    assert done.status == ExitCode.OK, done
    assert done.errors == ""
    parts = [line for line in done.lines if not line.startswith(" ")]
    assert parts[:-1] == ["broker", "database", "spool", "daemon"]
    assert parts[-1].startswith("0 problems, ")
    assert "rate is not known" in done.output
    assert sorted(file.name for file in tmp_path.iterdir()) == ["penstock.yaml"]


def test_beside_a_daemon_it_asks_the_daemon_and_leaves_it_alone(
    tmp_path: Path, broker: sandbox.Broker, schema: str, topic_prefix: str
) -> None:
    daemon = DaemonProcess(
        tmp_path,
        mqtt_url=broker.url,
        dsn=schema,
        settings={"spool": {"path": str(tmp_path / "spool.db")}},
        routes=[{"topic": f"{topic_prefix}/{{tenant}}/{{device}}", "format": "flat"}],
    )
    with daemon:
        publish(broker.url, [(f"{topic_prefix}/t/d", b'{"m": %d}' % n) for n in range(500)])
        wait_until(
            lambda: daemon.get("/api/v1/queue/stats")[1]["rates_per_second"]["received"] > 0,
            "a rate",
        )
        found = by_check(done := penstock("doctor", "--json", "--config", daemon.config))
        assert done.status == ExitCode.OK, done
        assert str(daemon.process_id) in found["spool.place"]["text"]
        assert "At the present" in found["spool.time"]["text"]
        assert found["daemon.health"]["level"] == "ok"
        assert "open; it needs" in found["daemon.files"]["text"]
        assert "Penstock has 0 open" not in found["database.connections"]["text"]
        assert daemon.get("/health/ready")[0] == 200
        assert not daemon.events("mqtt_disconnected")


def test_where_nothing_is_there_it_says_what_and_ends_with_5(tmp_path: Path) -> None:
    config = write_config(
        tmp_path,
        mqtt={"url": f"mqtt://{LOOPBACK}:{free_port()}"},
        storage={"dsn": f"postgresql://u:secret@{LOOPBACK}:{free_port()}/penstock"},
        spool={"path": str(tmp_path / "none" / "spool.db")},
        http={"listen": None},
    )
    done = penstock("doctor", "--json", "--config", config)
    assert done.status == ExitCode.REFUSED
    assert done.errors == ""
    assert {check: found["level"] for check, found in by_check(done).items()} == {
        "broker.connection": "problem",
        "database.connection": "problem",
        "spool.place": "problem",
        "daemon.health": "note",
        "daemon.files": "ok",
    }
    assert "secret" not in done.output


def test_a_configuration_that_is_unusable_is_not_examined(tmp_path: Path) -> None:
    done = penstock("doctor", write_config(tmp_path, mqtt={"url": "nonsense"}))
    assert done.status == ExitCode.CONFIG
    assert done.output == ""
    assert "mqtt.url" in done.errors
