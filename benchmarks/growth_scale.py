"""How large everything is around a message: the fleet, routes and chunks of one scale."""

import time
from typing import NamedTuple

from benchmarks.line_rate import METRICS
from penstock.sandbox.databases import execute
from penstock_simulator.fleet import Fleet

_RATE = 50_000.0
"""Messages a second, about, in saturation: as fast the time of the readings passes."""

_TOPIC = "devices/{site}/{tenant}/{device}/telemetry"
_LANES = 5
_DAY_US = 86_400_000_000
_OLD_ROWS = """
insert into readings (series_id, ts, value)
select series_id, now() - day * interval '1 day', 0
from generate_series(1000000001, 1000001000) as series_id, generate_series(1, {days}) as day
"""
"""Of series far beyond those that the database gives to the fleet."""


class Scale(NamedTuple):
    """How large everything is."""

    devices: int = 1_000
    """In all."""
    tenants: int = 1
    routes: int = 1
    days: int = 1
    """Of chunks, today's included."""
    spread: bool = False
    """Whether the readings are spread over all of the days, instead of being of today."""

    @property
    def name(self) -> str:
        """For people."""
        things = ("device", "tenant", "route", "day")
        parts = [
            f"{count:,} {thing}{'s' if count != 1 else ''}"
            for thing, count in zip(things, self[:4], strict=True)
        ]
        return ", ".join([*parts, *(["spread"] if self.spread else [])])

    def fleet(self) -> Fleet:
        """A fleet of its own for each window."""
        now_us = time.time_ns() // 1_000
        middle_us = self.days * _DAY_US // 2
        return Fleet.at_rate(
            _RATE,
            seed=time.time_ns() & 0xFFFFFFFF,
            start_us=now_us - middle_us if self.spread else now_us,
            skew_us=middle_us - _DAY_US if self.spread else 0,
            tenants=self.tenants,
            devices=self.devices // self.tenants,
            sites=self.routes,
            metrics=METRICS,
            lanes=_LANES,
            topic=_TOPIC,
            qos=1,
        )


def routes_of(fleet: Fleet) -> dict[str, str]:
    """A route for each site, with a subscription of its own."""
    sites = [fleet.site(number * fleet.tenants) for number in range(fleet.sites)]
    return {
        f"ROUTES__{number}__TOPIC": _TOPIC.replace("{site}", site)
        for number, site in enumerate(sites)
    }


def fill_chunks(dsn: str, days: int) -> None:
    """Make the chunks of the days before today, with a few rows in each."""
    if days > 1:
        execute(dsn, _OLD_ROWS.format(days=days - 1))
