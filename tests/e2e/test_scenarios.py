"""`penstock-sim run SCENARIO`: on a stack of its own, and against a broker that is there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.sandbox.endpoints import DSN_VARIABLE, MQTT_VARIABLE
from tests.support.daemon_process import DaemonProcess

SIMULATOR = (sys.executable, "-m", "penstock_simulator")
HOLDS = "Every reading is accounted for."
OUTAGE = """
story: The database is away for a second.
duration_seconds: 4
groups:
  - {name: sensors, rate: 200, devices: 5}
  - {name: pumps, rate: 100, type: pump, shape: flat, topic: 'x/{tenant}/{device}', qos: 0}
disturbances:
  - {stop: database, at_seconds: 1, for_seconds: 1}
"""
AWAY = """
story: The broker is away for half a second, and the daemon is killed.
duration_seconds: 10
groups:
  - {name: sensors, rate: 250, devices: 20, connections: 5}
disturbances:
  - {stop: broker, at_seconds: 0.5, for_seconds: 0.5}
  - {kill: daemon, at_seconds: 2.5, for_seconds: 0.5}
"""
RAMP = """
story: Ever more.
duration_seconds: 4
groups:
  - {name: sensors, rate: 2, devices: 5, life: {cuts: [{at_seconds: 1, away_seconds: 2}]}}
  - {name: pumps, rate: 1, type: pump, shape: flat, topic: 'x/{tenant}/{device}', qos: 0}
ramp: {from_rate: 100, to_rate: 400, steps: 4, within_ms: 20000}
"""


def simulate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SIMULATOR, *map(str, arguments)], check=False, capture_output=True, text=True
    )


def record_in(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text())
    return record


@pytest.mark.parametrize("name", ["smart-city", "noisy-tenant"])
def test_a_scenario_runs_on_a_stack_of_its_own(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run.json"
    done = simulate("run", name, "--rate", "500", "--duration", "4", "--json", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert HOLDS in done.stdout
    record = record_in(path)
    assert record["scenario"] == name
    assert record["account"]["published"] > 1_000
    for group in record["groups"]:
        account = group["account"]
        assert account["stored_readings"] >= account["expected_readings"]
        assert account["published"] > 0, group["name"]
    # The city's share of abuse is too small to come up within so few messages.
    assert bool(record["account"]["dead_lettered"]) == (name == "noisy-tenant")


def test_a_ramp_tells_what_was_kept_up_with(tmp_path: Path) -> None:
    scenario, path = tmp_path / "ramp.yaml", tmp_path / "run.json"
    scenario.write_text(RAMP)
    done = simulate("run", scenario, "--json", path, "--html", tmp_path / "run.html")
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_in(path)
    ramp = record["ramp"]
    assert ramp["until"] == "committed"
    assert [step["rate"] for step in ramp["steps"]] == [100, 200, 300, 400]
    for step in ramp["steps"]:
        assert step["due"] == step["answered"] == pytest.approx(step["rate"], abs=15)
    # The daemon takes a thousand times as much, so nothing but the machine can keep it from this.
    assert (ramp["verdict"], ramp["rate"]) == ("end", 400), ramp
    assert "At least 400 messages a second" in done.stdout
    assert "At least 400 messages a second" in (tmp_path / "run.html").read_text()


@pytest.mark.skipif(DSN_VARIABLE in os.environ, reason="stops the private database")
def test_what_is_done_to_the_stack_is_done_and_survived(tmp_path: Path) -> None:
    scenario, path = tmp_path / "outage.yaml", tmp_path / "run.json"
    scenario.write_text(OUTAGE)
    done = simulate("run", scenario, "--json", path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_in(path)
    told = [event["text"] for event in record["events"]]
    assert told[0] == "The database was stopped."
    assert record["events"][0]["until_seconds"] - record["events"][0]["at_seconds"] > 0.9
    # At QoS 0 nothing is expected, but nothing stands between broker and daemon here.
    assert record["groups"][1]["account"]["stored_readings"] > 0
    assert record["latencies"]["committed"]["max"] > 900


@pytest.mark.skipif(MQTT_VARIABLE in os.environ, reason="stops the private broker")
def test_broker_and_daemon_may_be_away_too(tmp_path: Path) -> None:
    scenario, path = tmp_path / "away.yaml", tmp_path / "run.json"
    scenario.write_text(AWAY)
    done = simulate("run", scenario, "--json", path)
    assert done.returncode == 0, done.stdout + done.stderr
    record = record_in(path)
    told = [event["text"] for event in record["events"]]
    assert told[:2] == ["The broker was stopped.", "The daemon was killed."]
    account = record["account"]
    assert account["acknowledged"] == account["published"] > 2_000
    assert account["stored_readings"] == account["expected_readings"]


def test_a_scenario_loads_a_broker_that_is_there(
    tmp_path: Path, mqtt_url: str, database: str
) -> None:
    routes = yaml.safe_load(simulate("routes", "factory").stdout)["routes"]
    sent = tmp_path / "sent.ledger"
    with DaemonProcess(tmp_path / "daemon", mqtt_url=mqtt_url, dsn=database, routes=routes):
        done = simulate(
            *("run", "factory", "--rate", "400", "--duration", "3"),
            *("--url", mqtt_url, "--dsn", database, "--ledger", sent),
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert HOLDS in done.stdout
    assert re.search(r" 0 unanswered, 0 refused", done.stdout)
    ledgers = sorted(tmp_path.glob("sent-*.ledger"))
    assert [path.stem for path in ledgers] == [
        "sent-climate", "sent-controllers", "sent-meters", "sent-pumps",
    ]  # fmt: skip
    given = [argument for path in ledgers for argument in ("--ledger", path)]
    again = simulate("verify", "--dsn", database, *given)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "sent-pumps" in again.stdout


def test_scenarios_are_listed_with_their_stories() -> None:
    done = simulate("scenarios")
    assert done.returncode == 0
    assert "reconnect-storm" in done.stdout
    assert "A switch fails" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("run",), "give --url, or a scenario"),
        (("run", "nowhere"), "there is no scenario nowhere"),
        (("run", "factory", "--rate", "0"), "a rate that is not 0"),
        (("run", "factory", "--devices", "3"), "--devices is the scenario's to say"),
        (("run", "factory", "--ramp", "9"), "9 is no ramp"),
        (("run", "factory", "--ramp", "1:9", "--rate", "5"), "--rate contradicts --ramp"),
        (("run", "factory", "--ramp", "1:9", "--duration", "0"), "a duration that is not 0"),
        (("run", "factory", "--dsn", "postgresql://x"), "--dsn needs --url"),
        (("routes", "nowhere"), "there is no scenario nowhere"),
    ],
)
def test_unusable_arguments_end_with_2(arguments: tuple[str, ...], told: str) -> None:
    done = simulate(*arguments)
    assert done.returncode == 2
    assert told in " ".join(done.stderr.split())


def test_every_fault_of_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "faulty.yaml"
    path.write_text("story: x\ngroups: [{name: a, rate: 0}, {name: b}]\n")
    done = simulate("run", path)
    assert done.returncode == 2
    assert "groups[0].rate: expected a number > 0" in done.stderr
    assert "groups[1].rate: is required" in done.stderr
