"""A capture gives back every byte that went in, and as much of it as there is."""

import gzip
import zlib
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.mqtt.wire import PlainMessage
from penstock_simulator.capture.message import Captured, Header, captured
from penstock_simulator.capture.reading import CaptureError, CaptureReader
from penstock_simulator.capture.writing import CaptureWriter

HEADER = Header(began_at="2026-01-01T00:00:00.000000+00:00", filters=["a/#", "b/+"])
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NAMES = TEXT.map(lambda text: "t/" + text.replace("+", "").replace("#", ""))
PACKETS = st.builds(
    mqtt5.PublishPacket,
    NAMES,
    st.binary(max_size=60) | TEXT.map(str.encode),
    qos=st.just(mqtt5.QoS.AT_LEAST_ONCE),
    packet_id=st.just(1),
    retain=st.booleans(),
    content_type=st.none() | TEXT,
    response_topic=st.none() | NAMES,
    correlation_data=st.none() | st.binary(max_size=20),
    user_properties=st.none() | st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=3),
)


def write(path: Path, flushes: Sequence[Sequence[Captured]]) -> None:
    path.unlink(missing_ok=True)
    writer = CaptureWriter(path)
    writer.begin(HEADER)
    for messages in flushes:
        writer.add(messages)
        writer.flush()
    writer.close()


def read(path: Path) -> tuple[list[Captured], bool]:
    reader = CaptureReader(path)
    assert reader.header == HEADER
    return list(reader.messages()), reader.truncated


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captures") / "capture.jsonl.gz"


@given(packets=st.lists(PACKETS, max_size=8))
def test_what_is_published_again_is_what_was_received(
    path: Path, packets: list[mqtt5.PublishPacket]
) -> None:
    write(path, [[captured(packet, number) for number, packet in enumerate(packets)]])
    messages, truncated = read(path)
    assert not truncated
    assert [message.packet(1) for message in messages] == [packet.write() for packet in packets]
    assert [message.at_us for message in messages] == list(range(len(packets)))


@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff\xfe", b"\xed\xa0\x80", "é\u2028".encode()])
def test_no_payload_is_changed(path: Path, payload: bytes) -> None:
    plain = captured(PlainMessage("t", payload, None, b"\xff"), 5)
    write(path, [[plain]])
    (message,), _ = read(path)
    assert (message.payload, message.qos, message.correlation_data) == (payload, 0, b"\xff")


def messages_of(count: int) -> list[Captured]:
    return [
        captured(PlainMessage(f"t/{number}", bytes([number]) * number, 1), number)
        for number in range(count)
    ]


@given(
    flushes=st.lists(st.integers(0, 4), max_size=6), share=st.floats(0, 1), compressed=st.booleans()
)
def test_any_beginning_of_a_capture_is_a_capture_of_the_beginning(
    path: Path, flushes: list[int], share: float, compressed: bool
) -> None:
    everything = messages_of(sum(flushes))
    ends = [sum(flushes[:place]) for place in range(len(flushes) + 1)]
    write(path, [everything[start:stop] for start, stop in pairwise(ends)])
    whole = path.read_bytes() if compressed else gzip.decompress(path.read_bytes())
    kept = round(share * len(whole))
    path.write_bytes(whole[:kept])
    try:
        messages, truncated = read(path)
    except CaptureError:
        # Only before the end of the header is there nothing to be read.
        plain = zlib.decompressobj(31).decompress(whole[:kept]) if compressed else whole[:kept]
        assert b"\n" not in plain
        return
    assert messages == everything[: len(messages)]
    if compressed:
        assert truncated == (kept < len(whole))
    elif messages != everything:
        assert truncated or whole[:kept].endswith((b"}\n", b"}"))


def test_what_was_flushed_is_there_before_the_file_is_closed(path: Path) -> None:
    path.unlink(missing_ok=True)
    writer = CaptureWriter(path)
    writer.begin(HEADER)
    assert read(path) == ([], True)
    writer.add(messages_of(9))
    writer.flush()
    assert read(path) == (messages_of(9), True)
    writer.close()
    assert read(path) == (messages_of(9), False)


def test_a_capture_can_be_written_by_hand(path: Path) -> None:
    path.write_text(
        '{"penstock_capture": 1, "began_at": "2026-01-01T00:00:00.000000+00:00",'
        ' "filters": ["a/#", "b/+"], "note": "by hand"}\n'
        '{"at_us": 0, "topic": "a/b", "text": "21.5"}\n'
        '{"at_us": 9, "topic": "a/c", "base64": "/w==", "qos": 1}'
    )
    messages, truncated = read(path)
    assert [(m.topic, m.payload, m.qos) for m in messages] == [
        ("a/b", b"21.5", 0),
        ("a/c", b"\xff", 1),
    ]
    assert not truncated


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cut off, or missing"),
        (b"\x1f", "cut off, or missing"),
        (b"\x1f\x8b\x08\x00", "cut off, or missing"),
        (b"temperature,21.5\n", "not a capture"),
        (b'{"penstock_capture": 2, "began_at": "", "filters": []}\n', "not a capture of version 1"),
        (gzip.compress(b"something else\n"), "not a capture"),
    ],
)
def test_what_is_no_capture_is_told(path: Path, content: bytes, told: str) -> None:
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=told):
        CaptureReader(path)


@pytest.mark.parametrize(
    "line",
    [b"{}", b'{"at_us": -1, "topic": "a"}', b'{"at_us": 1, "topic": "a/#"}', b"\xff", b""],
)
def test_a_line_that_is_no_message_is_told_with_its_number(path: Path, line: bytes) -> None:
    write(path, [messages_of(2)])
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], line, b"\n", *lines[2:]]))
    with pytest.raises(CaptureError, match="line 3"):
        read(path)


def test_damage_in_the_middle_is_told(path: Path) -> None:
    write(path, [messages_of(200)])
    damaged = bytearray(path.read_bytes())
    damaged[-8] ^= 1  # the checksum of all that stands before it
    path.write_bytes(damaged)
    with pytest.raises(CaptureError, match="damaged"):
        read(path)


def test_a_capture_is_never_overwritten(path: Path) -> None:
    write(path, [])
    with pytest.raises(FileExistsError):
        CaptureWriter(path)
