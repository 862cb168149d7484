import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import Reason
from penstock.model import Readings
from tests.unit.decode.decoding import RECEIVED_US, SCALAR, decode, refusal


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"21.5", 21.5),
        (b" 21.5\r\n", 21.5),
        (b"-7", -7.0),
        (b"1e3", 1000.0),
        (b"true", True),
        (b"false", False),
        (b"null", None),
        (b'"21.5"', 21.5),
        (b'"-7"', -7.0),
        (b'"1E3"', 1000.0),
        (b'"\\u0031"', 1.0),
        (b'"ON"', "ON"),
        (b'""', ""),
        (b'"true"', "true"),
        (b'"null"', "null"),
        (b'"NaN"', "NaN"),
        (b'"inf"', "inf"),
        (b'"Infinity"', "Infinity"),
        (b'"21.5 C"', "21.5 C"),
        (b'"007"', "007"),
        (b'"+1"', "+1"),
        (b'"1_000"', "1_000"),
        (b'"0x10"', "0x10"),
        (b'" 1"', " 1"),
        (b'"1\\n"', "1\n"),
        ('"٣"'.encode(), "٣"),
    ],
)
def test_one_value_is_the_reading_of_the_topics_metric(payload: bytes, value: object) -> None:
    (readings,) = decode(SCALAR, payload)
    assert readings == Readings(RECEIVED_US, {"level": readings.metrics["level"]})
    assert readings.metrics["level"] == value
    assert type(readings.metrics["level"]) is type(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_quoted_number_is_the_number(number: float) -> None:
    assert decode(SCALAR, f'"{number!r}"'.encode()) == decode(SCALAR, repr(number).encode())


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"[21.5]", b'{"value": 21.5}'])
def test_objects_and_arrays_are_malformed(payload: bytes) -> None:
    assert refusal(SCALAR, payload)[0] is Reason.MALFORMED


@pytest.mark.parametrize("payload", [b'"1e999"', b'"%s"' % (b"9" * 400)])
def test_a_quoted_number_has_the_range_of_an_unquoted_one(payload: bytes) -> None:
    assert refusal(SCALAR, payload)[0] is Reason.BAD_VALUE
