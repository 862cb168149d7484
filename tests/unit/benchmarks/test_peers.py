"""What is reported of peers, how they are counted, and what their configurations must not have."""

import json
import re
from pathlib import Path

import asyncpg
import msgspec
import numpy as np
import pytest
from rich.console import Console

from benchmarks.frame import MEBIBYTE, BenchError, Context
from benchmarks.line_rate import LEAST_WAITING, Measured, least_waiting
from benchmarks.noise import Noise
from benchmarks.peers import known
from benchmarks.peers.contest import (
    MOST_RESTART_RATE,
    check_unaltered,
    restart_rate,
    sparing_others,
)
from benchmarks.peers.counting import Estimate, counted_messages
from benchmarks.peers.figures import PENSTOCK, Contender, result_of
from benchmarks.peers.known import NODE_RED, PLAIN, TELEGRAF, known_peers
from penstock_simulator.account import Account, Latency

PEERS = Path(known.__file__).parent


def account(*, stored: int, lost: int = 0, duplicates: int = 0) -> Account:
    return Account(
        published=stored + lost,
        acknowledged=stored + lost,
        expected_readings=stored + lost,
        stored_readings=stored,
        lost=lost,
        duplicates=duplicates,
        corrupt=0,
        invented=0,
        both=0,
        refused=0,
        misjudged=0,
        dead_lettered={},
        repeated_dead_letters=0,
        latency_ms=Latency(None, None),
        messages_per_second=1,
        readings_per_second=1,
    )


def contender(rate: float, *, lost: int = 0) -> Contender:
    window = Measured(rate, 5, 0.1, account(stored=10, lost=lost), resident_bytes=MEBIBYTE)
    return Contender([window] * 3, 100, account(stored=7, lost=2, duplicates=1))


def test_the_goal_is_of_the_plain_script() -> None:
    result = result_of(
        {PLAIN: contender(500), "other": contender(5_000), PENSTOCK: contender(6_000)}, []
    )
    (goal,) = result.goals
    assert (goal.figure, goal.met) == (12, True)


def test_losses_of_all_windows_and_of_the_restart_are_told() -> None:
    result = result_of({PLAIN: contender(500, lost=4), PENSTOCK: contender(6_000)}, ["X is out."])
    assert result.figures[PLAIN]["steady"]["lost"] == 12
    assert result.figures[PLAIN]["restart"] == {
        "acknowledged_readings": 9,
        "stored_readings": 7,
        "lost": 2,
        "duplicates": 1,
    }
    speed, steady, restart = result.tables
    assert list(speed.rows[0]) == [PLAIN, "500", "12.0", "5.0", "1"]
    assert list(steady.rows[0]) == [PLAIN, "42", "30", "12", "0"]
    assert list(restart.rows[0]) == [PLAIN, "100", "9", "7", "2", "1"]
    assert "X is out." in result.notes


def test_who_was_measured_on_a_noisy_machine_is_marked() -> None:
    noisy = Measured(500, 5, 0.1, noise=Noise(foreign=0.5), resident_bytes=9 * MEBIBYTE)
    plain, ours = contender(500), contender(6_000)
    plain = plain._replace(windows=[noisy, *plain.windows])
    result = result_of({PLAIN: plain, "other": plain._replace(windows=[noisy]), PENSTOCK: ours}, [])
    assert list(result.voids) == [f"{PLAIN}: 1 of 4", "other: 1 of 1"]
    assert [row[0] for row in result.tables[0].rows] == [PLAIN, "other, void", PENSTOCK]
    assert result.figures[PLAIN]["resident_mib"] == 1


@pytest.mark.parametrize("fault", ["corrupt", "invented"])
def test_a_peer_that_alters_what_it_was_sent_is_configured_wrong(fault: str) -> None:
    check_unaltered("peer", account(stored=1, lost=1, duplicates=1))
    altered = msgspec.structs.replace(account(stored=1), **{fault: 1})
    with pytest.raises(BenchError, match=fault):
        check_unaltered("peer", altered)


def test_a_restart_is_at_a_rate_that_the_subject_can_hold() -> None:
    assert restart_rate(600) == 300
    assert restart_rate(100_000) == MOST_RESTART_RATE


def test_between_two_counts_a_table_has_grown_as_its_size_says() -> None:
    estimate = Estimate()
    assert estimate.rows_at(0) == 0
    estimate.learn(20_000, 2 << 20)
    assert estimate.rows_at(3 << 20) == 30_000
    estimate.learn(29_000, 3 << 20)
    assert estimate.rows_at(3 << 20) == 29_000


def test_who_cannot_be_run_is_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(known.TELEGRAF_VARIABLE, raising=False)
    found = known_peers()
    assert {NODE_RED, TELEGRAF}.isdisjoint(peer.name for peer in found.peers)
    assert [sentence.partition(" ")[0] for sentence in found.left_out] == [NODE_RED, TELEGRAF]


def test_a_program_that_is_named_takes_part(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    named = program(tmp_path, "telegraf")
    monkeypatch.setenv(known.TELEGRAF_VARIABLE, named)
    (telegraf,) = [peer for peer in known_peers().peers if peer.name == TELEGRAF]
    ran, *_, configuration = telegraf.command(tmp_path)
    assert ran == named
    assert Path(configuration).is_file()


def test_a_program_that_is_not_there_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(known.TELEGRAF_VARIABLE, str(tmp_path / "telegarf"))
    found = known_peers()
    assert TELEGRAF not in [peer.name for peer in found.peers]
    assert TELEGRAF in found.left_out[-1]


def test_what_npm_says_is_not_published(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(known, "_NODE_RED", tmp_path / "node-red")
    program(tmp_path, "node")
    program(tmp_path, "npm", "echo https://registry.example/secret >&2; exit 1")
    left_out = known_peers().left_out
    assert left_out[0] == "Node-RED was left out: npm could not install it."
    assert "registry.example" in capfd.readouterr().err


def program(folder: Path, name: str, does: str = "exit 0") -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{does}\n")
    path.chmod(0o755)
    return str(path)


def test_who_cannot_be_measured_is_left_out_without_its_log() -> None:
    failed: dict[str, str] = {}
    context = Context(Console(quiet=True), 1, 1)
    with sparing_others(context, TELEGRAF, failed):
        raise BenchError("Telegraf ended with status 1:\n/home/of/somebody")
    assert failed == {TELEGRAF: "Telegraf was left out: Telegraf ended with status 1."}


@pytest.mark.parametrize("name", [PLAIN, PENSTOCK])
def test_without_those_whom_the_goal_is_about_there_is_no_result(name: str) -> None:
    with (
        pytest.raises(BenchError, match="nothing came"),
        sparing_others(Context(Console(quiet=True), 1, 1), name, {}),
    ):
        raise BenchError("nothing came")


def test_a_window_is_void_when_too_few_messages_waited() -> None:
    window = Measured(1, 1, 0.1)
    assert not window.void
    assert not window._replace(least_waiting=LEAST_WAITING).void
    assert "waited" in window._replace(least_waiting=LEAST_WAITING - 1).remark


def test_messages_that_wait_are_counted_right_after_each_commit() -> None:
    sent_us = np.array([1, 2, 3, 4, 5, 6, 60])
    committed_us = np.array([70, 40, 40, 20, 20, 20, 70])
    assert least_waiting(sent_us, committed_us, 0, 30) == 3
    assert least_waiting(sent_us, committed_us, 0, 50) == 1
    assert least_waiting(sent_us, committed_us, 0, 70) == 0


def test_what_goes_wrong_while_counting_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def connect(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(asyncpg, "connect", connect)
    with (
        pytest.raises(ZeroDivisionError, match="a defect"),
        counted_messages("postgresql://", tmp_path / "counter", rows_per_message=3),
    ):
        raise AssertionError("there is nothing to count")


def test_the_lock_file_pins_every_package_and_names_no_registry() -> None:
    text = (PEERS / "node_red" / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]
    assert all("integrity" in package for name, package in packages.items() if name)
    assert not any("resolved" in package for package in packages.values())
    pinned = json.loads((PEERS / "node_red" / "package.json").read_text())["dependencies"]
    assert {packages[f"node_modules/{name}"]["version"] for name in pinned} == set(pinned.values())


@pytest.mark.parametrize(
    "name", ["plain_script.py", "batching_script.py", "telegraf.conf", "node_red/flows.json"]
)
def test_a_peer_is_told_everything_by_its_environment(name: str) -> None:
    text = (PEERS / name).read_text()
    for variable in ("PEER_MQTT_HOST", "PEER_MQTT_PORT", "PEER_CLIENT_ID", "PEER_DSN"):
        assert variable in text
    assert not re.search(r"127\.0\.0\.1|localhost", text)
