"""From what was measured of Penstock and its peers to the figures that are reported."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.frame import (
    MEBIBYTE,
    Chart,
    Goal,
    Result,
    Table,
    counted,
    is_void,
    median,
    void_windows,
)
from benchmarks.line_rate import Measured
from benchmarks.peers.known import PLAIN
from penstock_simulator.account import Account

PENSTOCK = "Penstock"
LEAST_RATIO = 10.0

_NOTE = (
    "Readings acknowledged are those of messages that the broker acknowledged to their publishers."
    " [Peers](peers.md) says how each peer is configured, and why."
)


class Contender(NamedTuple):
    """What was measured of one subject."""

    windows: Sequence[Measured]
    """In saturation."""
    restart_rate: float
    """Messages a second while the database was restarted."""
    restart: Account
    """Of that run."""

    @property
    def rate(self) -> float:
        """Messages stored a second."""
        return median(self.windows, lambda window: window.messages_per_second)

    @property
    def cpu_us(self) -> float:
        """Processor time for each message."""
        return median(self.windows, lambda window: window.cpu_us_per_message)

    @property
    def resident_mib(self) -> float:
        """The most memory that it had resident in any of them that counts."""
        return max(window.resident_bytes for window in counted(self.windows)) / MEBIBYTE

    @property
    def least_waiting(self) -> int | None:
        """Messages that waited for it in saturation, at the least, where that was looked at."""
        found = [window.least_waiting for window in counted(self.windows)]
        return min((waiting for waiting in found if waiting is not None), default=None)

    @property
    def accounts(self) -> Sequence[Account]:
        """The accounts of all windows."""
        return [window.account for window in self.windows if window.account is not None]


def result_of(contenders: Mapping[str, Contender], left_out: Sequence[str]) -> Result:
    """Medians in saturation, and the account of the restart."""
    ours, plain = contenders[PENSTOCK], contenders[PLAIN]
    return Result(
        figures={name: _figures(contender) for name, contender in contenders.items()},
        tables=[
            Table(
                title="Peers in saturation, QoS 1",
                columns=["", "messages/s", "Penstock ÷ it", "CPU µs/message", "memory, MiB"],
                rows=[_speed_row(name, each, ours.rate) for name, each in contenders.items()],
            ),
            Table(
                title="Readings in saturation, all windows together",
                columns=["", *_COLUMNS],
                rows=[[name, *_counts(each.accounts)] for name, each in contenders.items()],
            ),
            Table(
                title="Readings through a restart of the database",
                columns=["", "messages/s", *_COLUMNS],
                rows=[
                    [name, f"{each.restart_rate:,.0f}", *_counts([each.restart])]
                    for name, each in contenders.items()
                ],
            ),
        ],
        goals=[
            Goal(
                what="Penstock ÷ the plain aiomqtt script",
                figure=ours.rate / plain.rate,
                bound=LEAST_RATIO,
                void=is_void(ours.windows) or is_void(plain.windows),
            )
        ],
        charts=[
            Chart(
                name="peers",
                title="Messages stored in saturation, QoS 1",
                unit="messages/s",
                places=list(contenders),
                series={"stored": [each.rate for each in contenders.values()]},
            )
        ],
        voids=void_windows({name: each.windows for name, each in contenders.items()}),
        notes=[_NOTE, *left_out],
    )


def _figures(contender: Contender) -> dict[str, Any]:
    return {
        "messages_per_second": round(contender.rate),
        "cpu_us_per_message": round(contender.cpu_us, 2),
        "resident_mib": round(contender.resident_mib, 1),
        "least_waiting": contender.least_waiting,
        "steady": _account_figures(contender.accounts),
        "restart_messages_per_second": round(contender.restart_rate),
        "restart": _account_figures([contender.restart]),
        "void": is_void(contender.windows),
    }


_COUNTS = {
    "acknowledged_readings": lambda account: account.expected_readings,
    "stored_readings": lambda account: account.stored_readings,
    "lost": lambda account: account.lost,
    "duplicates": lambda account: account.duplicates,
}


_COLUMNS = ("acknowledged", "stored", "lost", "doubled")


def _account_figures(accounts: Sequence[Account]) -> dict[str, int]:
    return {name: sum(map(count, accounts)) for name, count in _COUNTS.items()}


def _speed_row(name: str, contender: Contender, ours: float) -> list[str]:
    return [
        f"{name}, void" if is_void(contender.windows) else name,
        f"{contender.rate:,.0f}",
        f"{ours / contender.rate:.1f}",
        f"{contender.cpu_us:.1f}",
        f"{contender.resident_mib:.0f}",
    ]


def _counts(accounts: Sequence[Account]) -> list[str]:
    return [f"{count:,}" for count in _account_figures(accounts).values()]
