"""A load of which every message is accounted for, and what the oracle says of it."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.daemon_process import DaemonProcess, wait_until

SIMULATOR = (sys.executable, "-m", "penstock_simulator")
RATE = 2_000
SECONDS = 12


class Load:
    """A simulated fleet that publishes in a process of its own."""

    def __init__(
        self,
        folder: Path,
        mqtt_url: str,
        prefix: str,
        *,
        malformed: float = 0.0,
        rate: int = RATE,
        seconds: int = SECONDS,
    ) -> None:
        self._ledger = folder / "ledger.npz"
        self._report = folder / "report.json"
        self.topic = f"{prefix}/{{tenant}}/{{device}}/telemetry"
        self._process = subprocess.Popen(
            [
                *SIMULATOR, "run", "--url", mqtt_url, "--topic", self.topic,
                "--rate", str(rate), "--duration", str(seconds), "--malformed", str(malformed),
                "--ledger", str(self._ledger),
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    @property
    def publishing(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        assert self._process.wait(timeout=120) == 0

    def account(self, dsn: str) -> dict[str, Any]:
        """What the oracle says of the database."""
        subprocess.run(
            [
                *SIMULATOR, "verify", "--dsn", dsn, "--ledger", str(self._ledger),
                "--report", str(self._report),
            ],
            check=False,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        account: dict[str, Any] = json.loads(self._report.read_text())
        return account


def drain(daemon: DaemonProcess) -> None:
    """Wait until the broker has nothing more to deliver, and all of it is stored."""

    def quiet() -> bool:
        before = daemon.metric("penstock_messages_received_total")
        time.sleep(0.5)
        return (
            daemon.metric("penstock_mqtt_connected") == 1
            and daemon.metric("penstock_messages_received_total") == before
            and daemon.metric("penstock_mqtt_unacknowledged_messages") == 0
            and daemon.metric("penstock_readings_in_flight") == 0
            and daemon.metric("penstock_readings_spooled") == 0
        )

    wait_until(quiet, "the broker's queue is empty")
