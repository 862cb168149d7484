"""Publishes all groups of a scenario at once, in one process: a `Publisher` for each.

They begin together, once the connections of all of them have been let in.
"""

import asyncio
import time
from collections.abc import Mapping

from penstock_simulator.descriptors import allow_connections
from penstock_simulator.effort import Effort
from penstock_simulator.ledger import Ledger
from penstock_simulator.pace import Ramp
from penstock_simulator.publisher import Publisher
from penstock_simulator.scenario import Scenario


class ScenarioPublisher:
    """The publishers of a scenario's groups, as one.

    Args:
        url: `mqtt://[user:password@]host[:port]`.
        scenario: what to publish.
        rate: messages a second of all groups together; they keep their proportions.
        seed: what names and values follow from.
        ramp: the pace of all groups together, up to `rate`, instead of their own.

    Raises:
        ValueError: the URL is none, or a group cannot be had at that rate.
    """

    def __init__(
        self, url: str, scenario: Scenario, *, rate: float, seed: int, ramp: Ramp | None = None
    ) -> None:
        scale = rate / scenario.rate
        fleets = scenario.fleets(scale=scale, seed=seed, start_us=time.time_ns() // 1_000)
        self._connections = sum(fleet.lanes for fleet in fleets)
        together = asyncio.Barrier(len(fleets))
        self.readings_per_message = sum(
            group.rate / scenario.rate * fleet.values_per_message
            for group, fleet in zip(scenario.groups, fleets, strict=True)
        )
        """On average, of well-formed ones."""
        self._publishers = {
            group.name: Publisher(
                url,
                fleet,
                pace=(
                    group.pace(group.rate * scale)
                    if ramp is None
                    else ramp.part(group.rate / scenario.rate)
                ),
                together=together,
                jitter=group.timing.send_jitter,
                life=group.life,
            )
            for group, fleet in zip(scenario.groups, fleets, strict=True)
        }
        self.started = asyncio.Event()
        """Set when every group's schedule has begun."""

    @property
    def published(self) -> Mapping[str, int]:
        """Messages sent so far by each group."""
        return {name: publisher.published for name, publisher in self._publishers.items()}

    @property
    def waiting(self) -> int:
        """Messages that the broker has not acknowledged yet."""
        return sum(publisher.waiting for publisher in self._publishers.values())

    @property
    def refused(self) -> int:
        """Messages that the broker answered with a reason of failure."""
        return sum(publisher.refused for publisher in self._publishers.values())

    @property
    def reconnects(self) -> int:
        """Connections that were lost and made again."""
        return sum(publisher.reconnects for publisher in self._publishers.values())

    @property
    def connected(self) -> int:
        """Connections that the broker has let in and that are not away."""
        return sum(publisher.connected for publisher in self._publishers.values())

    @property
    def ledgers(self) -> Mapping[str, Ledger]:
        """What each group sent so far; see `Publisher.ledger`."""
        return {name: publisher.ledger for name, publisher in self._publishers.items()}

    @property
    def effort(self) -> Effort | None:
        """How hard the process has had to work, as one of the groups noted it."""
        return list(self._publishers.values())[-1].effort

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, then wait for what is in flight, and disconnect.

        Raises:
            PublishError: the broker refused a connection.
            OSError: the system does not allow so many connections.
        """
        allow_connections(self._connections)
        tasks = [
            asyncio.create_task(publisher.run(stop), name=f"publish {name}")
            for name, publisher in self._publishers.items()
        ]
        starting = asyncio.create_task(self._note_start(), name="start")
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in (starting, *tasks):
                task.cancel()
            await asyncio.gather(starting, *tasks, return_exceptions=True)

    async def _note_start(self) -> None:
        for publisher in self._publishers.values():
            await publisher.started.wait()
        self.started.set()
