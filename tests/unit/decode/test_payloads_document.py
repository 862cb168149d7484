"""Every example in docs/payloads.md is what happens."""

import json
import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import yaml

from penstock.decode import make_decoder
from penstock.errors import Reason, Rejected
from penstock.model import Origin, Sample
from penstock.settings.tree import Limits, Route
from penstock.topics import Router, check_name
from tests.unit.decode.decoding import RECEIVED_US

DOCUMENT = Path(__file__).parents[3] / "docs" / "payloads.md"
TOPICS = {"envelope": "devices/acme/pump-7/telemetry", "scalar": "acme/pump-7/a"}

Routes = tuple[Route, ...]
Row = dict[str, str]


class Table(NamedTuple):
    """A table, with the routes and the commands that stand last before it."""

    routes: Routes
    commands: str
    rows: list[Row]


class Reading(NamedTuple):
    origin: Origin
    metric: str
    ts_us: int
    sample: Sample


def blocks() -> Iterator[tuple[str, str]]:
    """Fenced blocks by language, and tables as `table`, in the order of the document."""
    pattern = r"^```(\w+)\n(.*?)^```$|((?:^\|[^\n]*\|\n)+)"
    for match in re.finditer(pattern, DOCUMENT.read_text(), re.DOTALL | re.MULTILINE):
        yield (match[1], match[2]) if match[1] else ("table", match[3])


def tables() -> Iterator[Table]:
    routes: Routes = ()
    commands = ""
    for kind, text in blocks():
        if kind == "yaml":
            routes = msgspec.convert(yaml.safe_load(text)["routes"], Routes)
        elif kind == "sh":
            commands = text
        else:
            heading, _, *lines = [
                [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()
            ]
            rows = [dict(zip(heading, line, strict=True)) for line in lines]
            yield Table(routes, commands, rows)


TABLES = list(tables())


def tables_of(*heading: str) -> list[Table]:
    """The tables whose columns begin with these; there has to be one, or nothing is tested."""
    found = [table for table in TABLES if tuple(table.rows[0])[: len(heading)] == heading]
    assert found, heading
    return found


def code(cell: str) -> str:
    """The code that a cell begins with."""
    match = re.match(r"`([^`]*)`", cell)
    assert match, cell
    return match[1]


def payload(cell: str) -> bytes:
    r"""The bytes of the code that a cell begins with, `\xff` being one, times what is said so."""
    spans = re.match(r"(?:`[^`]*`(?: \u00d7 \d+)? ?)+", cell)
    assert spans, cell
    parts = re.findall(r"`([^`]*)`(?: \u00d7 (\d+))?", spans[0])
    return b"".join(
        re.sub(rb"\\x(..)", lambda digits: bytes.fromhex(digits[1].decode()), text.encode())
        * int(times or 1)
        for text, times in parts
    )


def microseconds(moment: str) -> int:
    parsed = datetime.fromisoformat(moment)
    return int(parsed.timestamp()) * 1_000_000 + parsed.microsecond


def read(routes: Routes, topic: str, message: bytes) -> list[Reading]:
    """The readings of a message, taken as the intake takes them; or `Rejected`."""
    origin = Router(routes, Limits()).resolve(topic)
    readings = []
    for group in make_decoder(routes[origin.route], Limits())(message, origin, RECEIVED_US):
        for metric, value in group.metrics.items():
            sample = value if isinstance(value, Sample) else Sample(value)
            if sample.value is not None:
                if check_name(metric) is not None:
                    raise Rejected(Reason.BAD_NAME, metric)
                readings.append(Reading(origin, metric, group.ts_us, sample))
    return readings


def refusal(routes: Routes, topic: str, message: bytes) -> str:
    with pytest.raises(Rejected) as caught:
        read(routes, topic, message)
    return caught.value.reason


def published(commands: str) -> Iterator[tuple[str, bytes]]:
    """Topic and payload of each command."""
    for command in re.split(r"^(?=mosquitto_pub )", commands, flags=re.MULTILINE)[1:]:
        words = shlex.split(command)
        yield words[words.index("-t") + 1], words[words.index("-m") + 1].encode()


def as_shown(reading: Reading) -> tuple[str, ...]:
    origin, metric, ts_us, sample = reading
    if isinstance(sample.value, str):
        value, quality = sample.value, ""
    else:
        value, quality = f"{float(sample.value or 0):g}", str(sample.quality)
    return origin.tenant, origin.device, metric, str(ts_us), value, quality


@pytest.mark.parametrize("table", tables_of("tenant", "device", "metric", "ts", "value", "quality"))
def test_the_commands_make_the_readings_shown(table: Table) -> None:
    found = [
        as_shown(reading)
        for topic, message in published(table.commands)
        for reading in read(table.routes, topic, message)
    ]
    shown = [tuple((row | {"ts": str(microseconds(row["ts"]))}).values()) for row in table.rows]
    # The order of the readings of a message means nothing.
    assert sorted(found) == sorted(shown)


@pytest.mark.parametrize(
    ("routes", "row"),
    [(table.routes, row) for table in tables_of("payload", "outcome") for row in table.rows],
)
def test_a_payload_has_the_outcome_shown(routes: Routes, row: Row) -> None:
    topic, outcome = TOPICS[routes[0].format], code(row["outcome"])
    if outcome in list(Reason):
        assert refusal(routes, topic, payload(row["payload"])) == outcome
    else:
        readings = read(routes, topic, payload(row["payload"]))
        assert {reading.metric: reading.sample.value for reading in readings} == json.loads(outcome)


@pytest.mark.parametrize("row", tables_of("timestamp", "read as")[0].rows)
def test_a_timestamp_is_read_as_shown(row: Row) -> None:
    routes = (Route(topic="devices/{tenant}/{device}/telemetry"),)
    message = b'{"ts": %s, "metrics": {"a": 1}}' % payload(row["timestamp"])
    shown = row["read as"]
    if shown.startswith("`"):
        assert refusal(routes, TOPICS["envelope"], message) == code(shown)
    else:
        (reading,) = read(routes, TOPICS["envelope"], message)
        assert reading.ts_us == microseconds(shown.split(",")[0])


@pytest.mark.parametrize("row", tables_of("template", "topic")[0].rows)
def test_a_template_yields_the_names_shown(row: Row) -> None:
    route = Route(topic=code(row["template"]), format="scalar" if row["metric"] else "envelope")
    origin = Router([route], Limits()).resolve(code(row["topic"]))
    assert (origin.tenant, origin.device) == (row["tenant"], row["device"])
    assert (origin.metric or "") == row["metric"]


REASONS = {code(row["reason"]): row["for example"] for row in tables_of("reason", "when")[0].rows}


def test_every_reason_is_documented_in_order() -> None:
    assert list(REASONS) == list(Reason)


@pytest.mark.parametrize("reason", [reason for reason, example in REASONS.items() if example])
def test_the_example_of_a_reason_has_that_reason(reason: str) -> None:
    routes, example = TABLES[0].routes, payload(REASONS[reason])
    if reason in (Reason.BAD_TOPIC, Reason.UNKNOWN_ROUTE):
        assert refusal(routes, example.decode(), b'{"metrics": {}}') == reason
    else:
        assert refusal(routes, TOPICS["envelope"], example) == reason


@pytest.mark.parametrize("row", tables_of("setting", "default")[0].rows)
def test_the_limits_shown_are_the_defaults(row: Row) -> None:
    name = code(row["setting"]).removeprefix("limits.")
    assert getattr(Limits(), name) == int(row["default"].split()[0])
