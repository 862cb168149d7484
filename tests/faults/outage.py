"""What a daemon does while its database is away, as far as it shows from outside."""

import time

from tests.faults.trial import RATE, Trial
from tests.support.daemon_process import wait_until

MEMORY_BYTES = 64 * 1_048_576
"""How much an outage may add to the daemon's resident size."""
SAMPLE_SECONDS = 0.5


class Outage:
    """An outage that is about to begin, under load."""

    def __init__(self, trial: Trial) -> None:
        """Wait until the daemon is at its work."""
        self._trial = trial
        self._daemon = trial.daemon
        wait_until(
            lambda: self._daemon.metric("penstock_readings_stored_total") > trial.pick(300, 15_000),
            "readings are stored",
        )
        self._resident_bytes = self._most_resident_bytes = self._resident()

    def last(self, seconds: float) -> None:
        """Let it last so long, and until acknowledgements have gone on for long enough in it."""
        before = self.acknowledged()
        end_seconds = time.monotonic() + seconds
        while time.monotonic() < end_seconds:
            self._most_resident_bytes = max(self._most_resident_bytes, self._resident())
            time.sleep(SAMPLE_SECONDS)
        wait_until(
            lambda: self.acknowledged() - before >= RATE * seconds / 2,
            "messages were acknowledged in the outage",
        )
        self._trial.expect(
            self._daemon.metric("penstock_readings_spooled"), "the spool holds readings"
        )

    def acknowledged(self) -> float:
        """Messages that the daemon has sent a PUBACK for."""
        return self._daemon.metric("penstock_messages_received_total") - self._daemon.metric(
            "penstock_mqtt_unacknowledged_messages"
        )

    def expect_bounded_memory(self) -> None:
        """Expect that the daemon has grown little; a short trial has not seen it at its size."""
        grown_bytes = self._most_resident_bytes - self._resident_bytes
        self._trial.expect(
            not self._trial.long or grown_bytes <= MEMORY_BYTES,
            f"the daemon's memory grew by {MEMORY_BYTES:,} bytes at most, but by {grown_bytes:,}",
        )

    def _resident(self) -> float:
        return self._daemon.metric("process_resident_memory_bytes")
