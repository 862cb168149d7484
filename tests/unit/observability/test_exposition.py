"""A scrape shows every count under its documented name, and no label without bound."""

import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from penstock import __version__
from penstock.errors import Reason
from penstock.observability.exposition import Exposition
from penstock.observability.ledger import MAX_TENANTS
from penstock.observability.levels import Levels
from penstock.observability.metrics import Metrics, Retry, SealCause
from tests.support.clocks import ManualClock
from tests.support.levels import WELL, levels_with

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs" / "metrics.md"
RULES = ROOT / "config" / "prometheus" / "penstock.rules.yml"


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(ManualClock())


def scrape(metrics: Metrics, levels: Levels = WELL) -> dict[str, float]:
    """Every sample, as `name{label="value"}`."""
    body, _ = Exposition(metrics, lambda: levels).render()
    samples = {}
    for family in parse_text(body.decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def test_every_column_of_the_ledger_is_there_for_each_tenant(metrics: Metrics) -> None:
    account = metrics.ledger.account("acme")
    account.received, account.stored, account.duplicate = 100, 50, 20
    account.dead_lettered, account.in_flight, account.spooled, account.shed = 10, 9, 8, 7
    samples = scrape(metrics)
    assert {name: samples[f'penstock_readings_{name}{{tenant="acme"}}'] for name in (
        "received_total", "stored_total", "duplicate_total", "dead_lettered_total", "shed_total",
        "in_flight", "spooled", "imbalance",
    )} == {
        "received_total": 100, "stored_total": 50, "duplicate_total": 20,
        "dead_lettered_total": 10, "shed_total": 7, "in_flight": 9, "spooled": 8, "imbalance": -4,
    }  # fmt: skip


def test_closed_lists_are_there_from_the_start_at_zero(metrics: Metrics) -> None:
    samples = scrape(metrics)
    for name, label, values in (
        ("penstock_dead_letters_total", "reason", Reason),
        ("penstock_batches_sealed_total", "cause", SealCause),
        ("penstock_retries_total", "operation", Retry),
        ("penstock_messages_received_total", "qos", ("0", "1")),
        ("ingest_events_total", "status", ("queued", "success", "error")),
        ("ingest_errors_total", "error_type", ("validation", "processing", "database")),
    ):
        found = {key: value for key, value in samples.items() if key.startswith(name + "{")}
        assert found == {f'{name}{{{label}="{value}"}}': 0.0 for value in values}


def test_counts_and_levels_are_read_as_they_are_at_the_scrape(metrics: Metrics) -> None:
    exposition = Exposition(metrics, lambda: levels_with(mqtt_sessions_lost=2))
    assert b'penstock_messages_received_total{qos="1"} 0.0' in exposition.render()[0]
    metrics.intake.messages_qos1 += 3
    metrics.dead_letters[Reason.MALFORMED] += 2
    metrics.sealed[SealCause.AGE] += 1
    metrics.storage.staging_batches += 4
    body, _ = exposition.render()
    for line in (
        'penstock_messages_received_total{qos="1"} 3.0',
        'penstock_dead_letters_total{reason="malformed"} 2.0',
        'penstock_batches_sealed_total{cause="age"} 1.0',
        "penstock_staging_batches_total 4.0",
        "penstock_mqtt_connected 1.0",
        "penstock_mqtt_sessions_lost_total 2.0",
        "penstock_queue_rows 10000.0",
        "penstock_mqtt_receive_maximum 20000.0",
        "penstock_oldest_uncommitted_seconds 0.25",
    ):
        assert f"\n{line}\n" in body.decode()


def test_a_histogram_is_cumulative_and_ends_in_infinity(metrics: Metrics) -> None:
    metrics.store_seconds.observe(0.004)
    metrics.store_seconds.observe(0.04, weight=2)
    metrics.store_seconds.observe(99.0)
    samples = scrape(metrics)
    name = "penstock_batch_store_seconds"
    assert samples[f'{name}_bucket{{le="0.005"}}'] == 1
    assert samples[f'{name}_bucket{{le="0.05"}}'] == 3
    assert samples[f'{name}_bucket{{le="30.0"}}'] == 3
    assert samples[f'{name}_bucket{{le="+Inf"}}'] == samples[f"{name}_count"] == 4
    assert samples[f"{name}_sum"] == pytest.approx(99.084)


def test_the_predecessors_names_have_the_predecessors_meanings(metrics: Metrics) -> None:
    account = metrics.ledger.account("acme")
    account.received, account.stored, account.duplicate, account.dead_lettered = 20, 9, 3, 5
    metrics.intake.queued_readings = 15
    metrics.dead_letters[Reason.MALFORMED] = 1
    metrics.dead_letters[Reason.BAD_VALUE] = 1
    metrics.dead_letters[Reason.UNKNOWN_ROUTE] = 1
    metrics.dead_letters[Reason.TENANT_MISMATCH] = 1
    metrics.dead_letters[Reason.STORAGE_ERROR] = 1
    metrics.retries[Retry.STORE] = 6
    samples = scrape(metrics)
    assert samples['ingest_events_total{status="queued"}'] == 15
    assert samples['ingest_events_total{status="success"}'] == 12
    assert samples['ingest_events_total{status="error"}'] == 5
    assert samples['ingest_errors_total{error_type="validation"}'] == 2
    assert samples['ingest_errors_total{error_type="processing"}'] == 2
    assert samples['ingest_errors_total{error_type="database"}'] == 7
    assert samples["ingest_queue_depth"] == 10_030
    assert samples["ingest_rate_per_second"] == 0


def test_the_rate_is_of_the_last_seconds(metrics: Metrics) -> None:
    clock = metrics.clock
    assert isinstance(clock, ManualClock)
    metrics.tick()
    clock.advance(1.0)
    metrics.ledger.account("acme").received = 250
    metrics.tick()
    assert scrape(metrics)["ingest_rate_per_second"] == 250


def test_tenants_are_bounded_however_many_there_are(metrics: Metrics) -> None:
    for number in range(MAX_TENANTS + 500):
        metrics.ledger.account(f"tenant-{number}").received += 1
    samples = scrape(metrics)
    received = {k: v for k, v in samples.items() if k.startswith("penstock_readings_received_")}
    assert len(received) == MAX_TENANTS + 1
    assert received['penstock_readings_received_total{tenant="_other"}'] == 500


def test_any_tenant_name_makes_a_valid_exposition(metrics: Metrics) -> None:
    names = ['quo"te', "back\\slash", "new\nline", "\ud800", "ünï", "a b", ""]
    for name in names:
        metrics.ledger.account(name).received += 1
    body, _ = Exposition(metrics, lambda: WELL).render()
    (family,) = (
        family
        for family in parse_text(body.decode())
        if family.name == "penstock_readings_received"
    )
    shown = [sample.labels["tenant"] for sample in family.samples]
    assert shown == [name.replace("\ud800", "?") for name in names]


def test_no_label_can_hold_a_device_or_a_topic(metrics: Metrics) -> None:
    metrics.ledger.account("acme").received += 1
    body, _ = Exposition(metrics, lambda: WELL).render()
    labels = {
        label
        for family in parse_text(body.decode())
        for sample in family.samples
        for label in sample.labels
    }
    assert labels == {
        "tenant", "reason", "cause", "operation", "qos", "status", "error_type", "le", "fault",
        "version", "python",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("text/plain; version=abc", "text/plain; version=0.0.4"),
        ("text/plain;version=1.0.0;q=0.5", "text/plain; version=1.0.0"),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text; version=1"),
    ],
)
def test_the_format_is_the_one_asked_for(metrics: Metrics, accept: str, content_type: str) -> None:
    metrics.ledger.account("acme").received += 1
    body, found = Exposition(metrics, lambda: WELL).render(accept)
    assert found.startswith(content_type)
    parse = parse_openmetrics if "openmetrics" in found else parse_text
    assert 'penstock_build_info{python="' in body.decode()
    assert "penstock_readings_received" in {family.name for family in parse(body.decode())}


def test_the_build_and_the_process_are_described(metrics: Metrics) -> None:
    body = Exposition(metrics, lambda: WELL).render()[0].decode()
    assert f'version="{__version__}"' in body
    assert "process_resident_memory_bytes" in body


def test_the_reference_lists_every_metric_with_its_type_and_labels(metrics: Metrics) -> None:
    metrics.ledger.account("acme")
    body, _ = Exposition(metrics, lambda: WELL).render()
    exposed = {}
    for family in parse_text(body.decode()):
        if family.name.startswith(("penstock_", "ingest_")):
            labels = sorted({label for s in family.samples for label in s.labels} - {"le"})
            suffix = "_total" if family.type == "counter" else ""
            exposed[family.name + suffix] = (family.type, ", ".join(labels))
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([\w, ]*?) ?\|", REFERENCE.read_text(), re.MULTILINE
    )
    assert {name: (kind, labels) for name, kind, labels in rows} == exposed


@pytest.mark.parametrize("file", [REFERENCE, RULES])
def test_what_people_query_exists(metrics: Metrics, file: Path) -> None:
    metrics.ledger.account("acme")
    body, _ = Exposition(metrics, lambda: WELL).render()
    exposed = {sample.name for family in parse_text(body.decode()) for sample in family.samples}
    queried = set(re.findall(r"\b(?:penstock|ingest|process)_\w+", file.read_text()))
    histograms = {name.removesuffix("_count") for name in exposed if name.endswith("_count")}
    assert queried <= exposed | histograms


def test_the_alert_rules_are_whole() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]:
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"warning", "critical"}
