"""A load of which every message is accounted for, and what the oracle says of it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.daemon_process import DEADLINE_SECONDS, DaemonProcess, wait_until
from tests.support.publishing import until_published

SIMULATOR = (sys.executable, "-m", "penstock_simulator")
RATE = 2_000
MESSAGES = 16_000
"""What is published at least: more than the 10,000 that tests want acknowledged."""


class Load:
    """A simulated fleet that publishes in a process of its own; a context that it does not outlive.

    When the context is entered it has begun.
    """

    def __init__(
        self,
        folder: Path,
        mqtt_url: str,
        prefix: str,
        *,
        malformed: float = 0.0,
        rate: int = RATE,
        name: str = "load",
        options: tuple[str, ...] = (),
    ) -> None:
        """Begin to publish, until `end`.

        `name` tells the loads of one folder apart; `options` go to the simulator.
        """
        self._ledger = folder / f"{name}.npz"
        self._report = folder / f"{name}.json"
        self._started_seconds = time.monotonic()
        self._url = mqtt_url
        self._rate = rate
        self.topic = f"{prefix}/{{tenant}}/{{device}}/telemetry"
        self._process = subprocess.Popen(
            [
                *SIMULATOR, "run", "--url", mqtt_url, "--topic", self.topic,
                "--rate", str(rate), "--duration", "0", "--malformed", str(malformed),
                "--ledger", str(self._ledger), *options,
            ],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> Self:
        self.until_publishing()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.abandon()

    def until_publishing(self) -> None:
        """Wait until it has begun: on a busy machine a process takes seconds to start."""
        until_published(self._url, self.topic.format(tenant="+", device="+"))
        self._started_seconds = time.monotonic()

    def publish_at_least(self, messages: int = MESSAGES) -> None:
        """Wait until so many should have been published."""
        due_seconds = self._started_seconds + messages / self._rate
        time.sleep(max(0.0, due_seconds - time.monotonic()))

    @property
    def publishing(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Tell it to stop, and wait until it has heard of all that it has published."""
        self._process.send_signal(signal.SIGINT)
        assert self._process.wait(timeout=120) == 0

    def account(self, dsn: str) -> dict[str, Any]:
        """What the oracle says of the database."""
        self._report.unlink(missing_ok=True)  # what it said of another one
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

    def abandon(self) -> None:
        """End it, whatever it is doing."""
        self._process.kill()
        self._process.wait()


def drain(daemon: DaemonProcess, *, within_seconds: float = DEADLINE_SECONDS) -> None:
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

    wait_until(quiet, "the broker's queue is empty", within_seconds=within_seconds)
