"""The daemon stores what devices of every type say in every shape, and refuses every abuse."""

import asyncio
import time
from pathlib import Path

import numpy as np

from penstock_simulator.account import Account
from penstock_simulator.fleet import Fleet
from penstock_simulator.ledger import Ledger
from penstock_simulator.numbering import fresh_before
from penstock_simulator.oracle import verify
from penstock_simulator.publisher import Publisher
from tests.support.daemon_process import DaemonProcess, wait_until
from tests.support.polling import until

MESSAGES = 300
RATE = 300.0
UNSTEADY = {
    "jitter_us": 30_000, "skew_us": 60_000_000, "late_every": 5, "repeat_every": 10,
    "malformed_every": 5,
}  # fmt: skip
FLEETS: dict[str, dict[str, object]] = {
    "envelope": {"type": "pump", **UNSTEADY},
    "detailed": {"type": "environment", "clock": "iso", **UNSTEADY},
    "list": {"type": "power_meter", "batch": 4, "clock": "ms", **UNSTEADY},
    "readings": {"type": "gateway", "batch": 3, "clock": "ns", **UNSTEADY},
    "flat": {"type": "vehicle", "sites": 2, **UNSTEADY},
    "scalar": {"type": "environment", "malformed_every": 5},
    "quoted": {"type": "pump", "qos": 0},
}


def fleets_of(prefix: str) -> list[Fleet]:
    now_us = time.time_ns() // 1_000
    fleets = []
    for number, (shape, fields) in enumerate(FLEETS.items()):
        levels = "{tenant}/{device}" + ("/{metric}" if shape in ("scalar", "quoted") else "")
        site = "/{site}" if "sites" in fields else ""
        fleets.append(
            Fleet.at_rate(
                RATE,
                seed=(now_us + number) & 0xFFFFFFFF,
                start_us=now_us,
                tenants=2,
                devices=5,
                lanes=2,
                shape=shape,
                topic=f"{prefix}/{shape}{site}/{levels}",
                **fields,
            )
        )
    return fleets


async def publish(url: str, fleets: list[Fleet]) -> list[Ledger]:
    """Publish so many messages of each."""
    stop = asyncio.Event()
    publishers = [Publisher(url, fleet, rate=RATE, allowance=lambda: MESSAGES) for fleet in fleets]
    running = asyncio.gather(*(publisher.run(stop) for publisher in publishers))
    await until(lambda: all(p.published == MESSAGES for p in publishers), "all are published")
    stop.set()
    await running
    return [publisher.ledger for publisher in publishers]


def test_all_of_every_shape_is_accounted_for(
    tmp_path: Path, mqtt_url: str, database: str, topic_prefix: str
) -> None:
    fleets = fleets_of(topic_prefix)
    routes = [fleet.route for fleet in fleets]
    with DaemonProcess(tmp_path / "daemon", mqtt_url=mqtt_url, dsn=database, routes=routes):
        for ledger in asyncio.run(publish(mqtt_url, fleets)):
            account = settled_account(database, ledger)
            assert account.holds, (ledger.fleet.shape, account)
            assert account.published == MESSAGES
            assert sum(account.dead_lettered.values()) == refusals(ledger)


def settled_account(dsn: str, ledger: Ledger) -> Account:
    """The account of a fleet once nothing is missing."""
    account: Account | None = None

    def is_whole() -> bool:
        nonlocal account
        account = asyncio.run(verify(dsn, ledger))
        return not account.lost and account.stored_readings >= readings_of(ledger)

    wait_until(is_whole, f"all of the shape {ledger.fleet.shape} is stored")
    assert account is not None
    return account


def readings_of(ledger: Ledger) -> int:
    """How many readings were sent, whether the broker acknowledged them or not."""
    sent = np.array([lane.sent for lane in ledger.lanes.values()])
    return int(fresh_before(ledger.fleet, sent).sum()) * ledger.fleet.values_per_message


def refusals(ledger: Ledger) -> int:
    """How many abuses were sent."""
    every = ledger.fleet.malformed_every
    return sum(lane.sent // every for lane in ledger.lanes.values()) if every else 0
