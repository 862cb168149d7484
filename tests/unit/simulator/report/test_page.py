"""The page of a run is whole: well-formed, sufficient to itself, readable without seeing it."""

import re
import xml.etree.ElementTree as ET

import msgspec
import pytest

from penstock_simulator.report.page import page_of
from penstock_simulator.report.record import Event, Record, Workload
from penstock_simulator.sampling import Samples
from tests.support.records import ACCOUNT, CLIMB, parsed, record, text_of


def shown(record: Record) -> ET.Element:
    return parsed(page_of(record))


def figure(page: ET.Element, key: str) -> ET.Element:
    (found,) = [each for each in page.iter("figure") if each.get("id") == key]
    return found


def test_nothing_is_loaded_and_nothing_is_run() -> None:
    page = page_of(record(account=ACCOUNT))
    tree = parsed(page)
    assert not [each for each in tree.iter() if each.tag in ("script", "img", "iframe", "object")]
    assert not re.findall(r"url\(|@import", page)
    for each in tree.iter():
        addresses = [each.get(name, "data:") for name in ("src", "href", "action", "data")]
        assert all(address.startswith("data:") for address in addresses)


def test_names_are_text_and_never_markup() -> None:
    page = shown(record(account=ACCOUNT))
    assert [each.text for each in page.iter("h1")] == ["A <plant> & more"]
    assert 'Pumps that say "less" < more.' in text_of(page)
    assert "plant-<1>" in text_of(page)


def test_an_account_that_holds_says_so_and_shows_its_counts() -> None:
    text = text_of(shown(record(account=ACCOUNT)))
    assert "Every reading is accounted for" in text
    assert "2,985 readings acknowledged, 2,985 stored, 5 messages dead-lettered" in text
    assert "lost acknowledged readings that are neither stored nor dead-lettered 0 ✓" in text


def test_a_broken_account_says_what_does_not_add_up() -> None:
    broken = msgspec.structs.replace(ACCOUNT, lost=3, corrupt=1_200)
    text = text_of(shown(record(account=broken)))
    assert "It does not add up lost 3, corrupt 1,200." in text
    assert "Every reading is accounted for" not in text
    assert "1,200 ✗" in text


def test_a_run_that_nobody_judged_claims_nothing() -> None:
    text = text_of(shown(record()))
    assert "Not judged 30 messages published, 30 acknowledged." in text
    assert "✓" not in text


@pytest.mark.parametrize("limits", [True, False])
def test_a_simulator_that_was_the_limit_is_told(limits: bool) -> None:
    work = Workload(cpu_share=0.97, late_share=0.021, limits=limits)
    text = text_of(shown(record(workload=work)))
    assert ("The simulator was a limit of this run" in text) == limits
    assert "97 %" in text


def test_every_chart_has_words_and_a_table_with_its_figures() -> None:
    page = shown(record(account=ACCOUNT))
    figures = list(page.iter("figure"))
    assert {each.get("id") for each in figures} == {
        *("throughput", "percentiles", "latency", "queue", "cpu", "memory")
    }
    for each in figures:
        (svg,) = each.iter("svg")
        title, description = (svg.get("aria-labelledby") or "").split()
        named = {child.get("id"): child.text for child in svg}
        assert named[title]
        assert re.search(r"from .+ to .+, at last", named[description] or "")
        assert each.find(".//table/tbody/tr") is not None
    assert "1 s 10/s 10/s" in text_of(figure(page, "throughput"))
    assert "80 MiB" in text_of(figure(page, "memory"))


def test_ids_are_unique() -> None:
    ids = [each.get("id") for each in shown(record(account=ACCOUNT)).iter() if each.get("id")]
    assert len(ids) == len(set(ids))


def test_a_gap_is_drawn_as_a_gap_and_written_as_none() -> None:
    samples = Samples(at_seconds=[1, 2, 3], queue_rows=[4, None, 6], spool_rows=[0, 0, 0])
    queue = figure(shown(record(samples=samples)), "queue")
    (line,) = [each for each in queue.iter("path") if "line" in (each.get("class") or "")]
    assert (line.get("d") or "").count("M") == 2
    assert "2 s \N{EN DASH}" in text_of(queue)


def test_what_is_not_known_has_no_chart() -> None:
    page = shown(record(samples=Samples()))
    assert "cpu" not in {each.get("id") for each in page.iter("figure")}
    assert "Nothing is known of the daemon's queue and spool." in text_of(page)


def test_a_spool_that_was_used_is_shown() -> None:
    samples = Samples(at_seconds=[1, 2], spool_rows=[0, 500], spool_bytes=[0, 2_097_152])
    page = shown(record(samples=samples))
    assert "500" in text_of(figure(page, "spool"))
    assert "The spool held 2 MiB at most." in text_of(page)


def test_a_long_run_is_drawn_with_few_points() -> None:
    page = page_of(record(seconds=5_000))
    throughput = figure(parsed(page), "throughput")
    assert "Each point stands for 25 seconds." in text_of(throughput)
    assert len(page) < 600_000


def test_events_are_in_every_chart_over_time_and_in_words() -> None:
    page = shown(record())
    assert "1.5 s The database was stopped." in text_of(page)
    for key in ("throughput", "latency", "queue", "cpu"):
        marks = [each for each in figure(page, key).iter("g") if each.get("class") == "mark"]
        assert [text_of(mark) for mark in marks] == ["The database was stopped."]


@pytest.mark.parametrize("qos", [0, 1])
def test_what_is_never_acknowledged_is_told(qos: int) -> None:
    made = record()
    group = msgspec.structs.replace(made.groups[0], fleet={**made.groups[0].fleet, "qos": qos})
    page = shown(msgspec.structs.replace(made, groups=[group]))
    assert ("QoS 0 are never acknowledged" in text_of(page)) == (qos == 0)


def test_a_run_that_sent_nothing_has_a_page_too() -> None:
    assert "nothing was sent" in text_of(shown(record(seconds=0, samples=Samples())))


def test_a_ramp_shows_its_knee_in_words_and_in_its_charts() -> None:
    page = shown(record(ramp=CLIMB, workload=Workload(cpu_share=1, late_share=0, limits=True)))
    assert "The knee is at 2,000 messages a second" in text_of(page)
    assert "The simulator was a limit" not in text_of(page)
    for key in ("ramp-rate", "ramp-latency"):
        assert "knee 2,000/s" in text_of(figure(page, key))
    assert "3,000/s 2,990/s 2,100/s" in text_of(figure(page, "ramp-rate"))
    assert "2.5 s" in text_of(figure(page, "ramp-latency"))


def test_what_lasted_is_a_band_in_every_chart_over_time() -> None:
    page = shown(record(events=[Event(1.0, "The broker was stopped.", until_seconds=2.25)]))
    assert "1 s to 2.2 s The broker was stopped." in text_of(page)
    for key in ("throughput", "latency", "queue", "cpu"):
        (band,) = [each for each in figure(page, key).iter("g") if each.get("class") == "band"]
        assert text_of(band) == "The broker was stopped."
        (area,) = band.iter("rect")
        assert float(area.get("width") or 0) > 300


def test_connections_are_shown_where_they_come_and_go() -> None:
    kept = Samples(at_seconds=[1, 2, 4], connections=[50, 50, 0])  # it disconnects in the end
    assert "connections" not in {each.get("id") for each in shown(record(samples=kept)).iter()}
    cut = Samples(at_seconds=[1, 2, 4], connections=[50, 20, 0])
    assert "2 s 20" in text_of(figure(shown(record(samples=cut)), "connections"))


def test_a_machine_that_was_busy_is_told_from_a_simulator_that_was() -> None:
    for cpu, told in ((0.2, True), (0.97, False)):
        work = Workload(cpu_share=cpu, late_share=0.05, limits=True)
        assert ("something else" in text_of(shown(record(workload=work)))) == told
