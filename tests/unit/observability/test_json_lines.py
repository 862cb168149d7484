"""Whatever is logged, the line is one JSON object."""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Reason
from penstock.observability.json_lines import json_line
from penstock.settings.secret import Secret

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Cs", "Cc", "Zl", "Zp"]))
    | st.binary()
    | st.complex_numbers()
    | st.decimals(allow_nan=False)
    | st.dates()
)
keys = st.none() | st.integers() | st.text() | st.binary() | st.tuples(st.integers())
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(keys, inner)
        | st.tuples(inner, inner)
        | st.frozensets(scalars)
    ),
    max_leaves=12,
)


def read(value: object) -> object:
    line = json_line({"event": "e", "value": value})
    assert "\n" not in line
    found = json.loads(line.encode("utf-8"), parse_constant=pytest.fail)
    assert found["event"] == "e"
    return found["value"]


@given(st.dictionaries(st.text(), anything))
def test_anything_becomes_one_valid_object(event: dict[str, object]) -> None:
    line = json_line(event)
    assert "\n" not in line
    assert "\r" not in line
    assert isinstance(json.loads(line.encode("utf-8"), parse_constant=pytest.fail), dict)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"caf\xe9", "caf\\xe9"),
        ("half \ud83d", "half \\ud83d"),
        ("é\n\x00", "é\n\x00"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**63, "0x8000000000000000"),
        (-(2**62), -(2**62)),
        (Reason.MALFORMED, "malformed"),
        (Secret("hunter2"), "***"),
        ({"password": Secret("hunter2")}, {"password": "***"}),
        ("to mqtt://joe:hunter2@h", "to mqtt://***@h"),
        (b"postgresql://joe:hunter2@h", "postgresql://***@h"),
        (ValueError("x"), "ValueError('x')"),
        (Path("/x"), "/x"),
        (Decimal("1.5"), "1.5"),
        (np.int64(7), 7),
        (np.float32(0.5), 0.5),
        ((1, [2, {3}]), [1, [2, [3]]]),
        (OrderedDict({1: None}), {"1": None}),
    ],
)
def test_values_are_shown_as_people_would_write_them(value: object, shown: object) -> None:
    assert read(value) == shown


def test_a_cycle_and_great_depth_end() -> None:
    cycle: list[object] = [1]
    cycle.append(cycle)
    assert "…" in json.dumps(read(cycle), ensure_ascii=False)
    deep: object = None
    for _ in range(100_000):
        deep = [deep]
    assert "…" in json.dumps(read(deep), ensure_ascii=False)


def test_a_line_is_bounded() -> None:
    event = {"event": "e", "a": "x" * 10_000_000, "b": list(range(10_000_000 // 100))}
    assert len(json_line(event)) < 50_000
    many = read({str(n): n for n in range(1_000)})
    assert isinstance(many, dict)
    assert len(many) == 101
    assert many["…"] == 900


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class HostileMapping(Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise RuntimeError("no items")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no keys")

    def __len__(self) -> int:
        return 1


def test_what_cannot_be_shown_is_named() -> None:
    assert read(Hostile()) == "<Hostile that cannot be shown>"
    line = json.loads(json_line({"event": "e", "value": HostileMapping()}))
    assert line["event"] == "e"
    assert "no keys" in line["log_error"]
