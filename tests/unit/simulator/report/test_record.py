"""The record's documentation names every field that it has."""

import re
from pathlib import Path

from penstock_simulator.report.record import Record

DOCUMENT = Path(__file__).parents[4] / "docs" / "run-record.md"


def test_every_field_is_documented_and_no_other() -> None:
    heads = re.findall(r"^\| (`.*?) \|", DOCUMENT.read_text(), re.MULTILINE)
    named = {name for head in heads for name in re.findall(r"`(\w+)`", head)}
    assert named == set(Record.__struct_fields__)
