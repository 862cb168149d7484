"""Daemons broken on purpose, to show that the tests which guard a promise can fail.

Run as `python tests/support/broken_builds.py BREAKAGE run --config FILE`.
"""

import sys

import msgspec

from penstock.app.flow import Flow
from penstock.cli import main
from penstock.pipeline.intake import Intake, Sealed


def acknowledge_before_commit() -> None:
    """Send the PUBACK when a batch is sealed, as a program would that trusts its queue."""
    enter = Flow._sealed

    def acknowledge_and_enter(self: Flow, sealed: Sealed) -> None:
        self.source.acknowledge(sealed.connection, sealed.packet_ids)
        enter(self, msgspec.structs.replace(sealed, packet_ids=()))

    Flow._sealed = acknowledge_and_enter  # type: ignore[method-assign]


def fail_in_a_timer() -> None:
    """Raise where no task would see it: in the timer that seals a batch by its age."""

    def fail(self: Intake) -> None:
        raise ZeroDivisionError("a bug in a timer")

    Intake._seal_by_age = fail  # type: ignore[method-assign]


BREAKAGES = {
    "acknowledge_before_commit": acknowledge_before_commit,
    "fail_in_a_timer": fail_in_a_timer,
}


if __name__ == "__main__":
    BREAKAGES[sys.argv.pop(1)]()
    main()
