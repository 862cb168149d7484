"""Costs become figures by axis; scales differ in what they say they do."""

import pytest

from benchmarks.growth import AXES, LARGEST, SPREAD, Windows, result_of
from benchmarks.growth_path import PathCost, PathFeed
from benchmarks.growth_scale import Scale, routes_of
from benchmarks.growth_window import Cost
from benchmarks.noise import Noise
from penstock.settings.tree import Limits, Route
from penstock.topics import Router

PATHS = {Scale(devices=10): [PathCost(2.0, Noise())], Scale(): [PathCost(2.5, Noise())]}
SCALES = [scale for axis in AXES for scale in axis.scales.values()]
QUIET, NOISY = Noise(), Noise(foreign=0.5)


def cost(daemon_us: float, database_us: float | None = 6.0, noise: Noise = QUIET) -> Cost:
    return Cost(
        messages_per_second=40_000,
        daemon_us=daemon_us,
        database_us=database_us,
        resident_bytes=80 << 20,
        first_seconds=12,
        first_daemon_us=45,
        first_database_us=None if database_us is None else 140,
        generator_cpu=0.2,
        noise=noise,
    )


@pytest.fixture
def windows() -> Windows:
    """Growth with devices alone, and one window of each scale on a noisy machine."""
    figures = {Scale(devices=10): 8.0, Scale(): 10.0, LARGEST: 9.0}
    return {
        scale: [cost(figures.get(scale, 10.0)), cost(99.0, noise=NOISY)]
        for scale in [*SCALES, SPREAD]
    }


def test_each_goal_is_for_the_dearest_and_the_cheapest_of_an_axis(windows: Windows) -> None:
    goals = result_of(windows, PATHS).goals
    assert [goal.figure for goal in goals] == [1.25, 1.0, 1.0, 1.0]
    assert [goal.met for goal in goals] == [False, True, True, True]
    assert not any(goal.void for goal in goals)


def test_a_goal_is_void_when_one_of_its_scales_is(windows: Windows) -> None:
    tenants = Scale(tenants=1_000)
    goals = result_of({**windows, tenants: [cost(10.0, noise=NOISY)]}, PATHS).goals
    assert [goal.void for goal in goals] == [False, True, False, False]


def test_each_axis_has_a_table_and_a_line_for_us_and_for_the_database(windows: Windows) -> None:
    result = result_of(windows, PATHS)
    *tables, path = result.tables
    assert [row[1:] for row in path.rows] == [["2.00", "1.00"], ["2.50", "1.25"]]
    for axis, table, chart in zip(AXES, tables, result.charts, strict=True):
        assert [row[0] for row in table.rows] == [f"{size:,}" for size in axis.scales]
        assert list(chart.series) == ["database", "Penstock"]
        assert len(chart.places) == len(axis.scales)
    assert result.figures["devices"]["10"]["cpu_us_per_message"] == 8.0
    assert "45 µs" in " ".join(result.notes)


def test_where_the_database_is_not_ours_its_cost_is_unknown() -> None:
    result = result_of({scale: [cost(10.0, None)] for scale in [*SCALES, SPREAD]}, PATHS)
    assert {row[4] for table in result.tables[:-1] for row in table.rows} == {"unknown"}
    assert all(list(chart.series) == ["Penstock"] for chart in result.charts)
    assert "unknown" in " ".join(result.notes)


@pytest.mark.parametrize("scale", [*SCALES, SPREAD], ids=lambda scale: scale.name)
def test_a_scale_has_as_many_devices_tenants_and_routes_as_it_says(scale: Scale) -> None:
    fleet = scale.fleet()
    routes = tuple(Route(topic=topic) for topic in routes_of(fleet).values())
    router = Router(routes, Limits())
    # All of them where that is quick, else some.
    some = range(0, fleet.size, max(1, fleet.size // 1_000))
    origins = [router.resolve(fleet.topic_of(number)) for number in some]
    assert fleet.size == scale.devices
    assert len({origin.device for origin in origins}) == len(some)
    assert len({origin.tenant for origin in origins}) == scale.tenants
    assert {origin.route for origin in origins} == set(range(scale.routes))
    assert len(router.filters) == scale.routes


def test_all_that_is_fed_to_a_path_comes_out() -> None:
    assert PathFeed(Scale(devices=60, tenants=3, routes=4)).window(pieces=60).us > 0
