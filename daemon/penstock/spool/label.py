"""The outer side of a batch on the disk: what accounts for it, and the checksums.

A *record* is a label, which says what is in a batch, and a body, which holds it
(`penstock.spool.codec`). Both begin with a CRC-32 that also covers the record's number, so that
neither a flipped bit nor a part of another record is ever taken for a reading.
"""

import zlib
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from penstock.errors import PenstockError
from penstock.spool.text import to_bytes, to_text

_CRC_BYTES = 4


class Unreadable(PenstockError):  # noqa: N818 - what the bytes are, not a failure of the program
    """Bytes that are not what was written under this number."""


class Label(msgspec.Struct, frozen=True, array_like=True):
    """What is to be known of a record without reading its body."""

    received_us: int
    """When the first message of the batch was received."""
    rows: int
    """Readings and dead letters."""
    readings: tuple[tuple[bytes | None, int], ...]
    """Readings by tenant, a dead letter counting as one; `None` where no tenant is known."""


class Record(NamedTuple):
    """A batch as it lies on the disk."""

    number: int
    label: bytes
    body: bytes

    @property
    def size_bytes(self) -> int:
        """What it counts against `spool.max_bytes`."""
        return len(self.label) + len(self.body)


_labels = msgspec.msgpack.Decoder(Label)
_encode = msgspec.msgpack.Encoder().encode


def encode_label(
    number: int, received_us: int, rows: int, readings: Mapping[str | None, int]
) -> bytes:
    """The label of the record of this number; `readings` are its readings by tenant."""
    tenants = tuple((to_bytes(tenant), count) for tenant, count in readings.items())
    return seal(number, _encode(Label(received_us, rows, tenants)))


def decode_label(number: int, label: bytes) -> Label:
    """The label of a record; `Unreadable` when it is damaged."""
    try:
        return _labels.decode(unseal(number, label))
    except msgspec.DecodeError as error:
        raise Unreadable(f"the label cannot be decoded: {error}") from error


def is_intact(record: Record) -> bool:
    """Whether both parts are what was written under this number."""
    return all(_is_sealed(record.number, part) for part in (record.label, record.body))


def readings_of_label(label: Label) -> dict[str | None, int]:
    """Readings by tenant, a dead letter counting as one."""
    return {to_text(tenant): readings for tenant, readings in label.readings}


def seal(number: int, payload: bytes) -> bytes:
    """A part of the record of this number, with its checksum."""
    return _crc(number, payload) + payload


def unseal(number: int, sealed: bytes) -> bytes:
    """What was sealed; `Unreadable` when it is damaged, or of another record."""
    if not _is_sealed(number, sealed):
        raise Unreadable("its checksum does not fit")
    return sealed[_CRC_BYTES:]


def _is_sealed(number: int, sealed: bytes) -> bool:
    return sealed[:_CRC_BYTES] == _crc(number, sealed[_CRC_BYTES:])


def _crc(number: int, payload: bytes) -> bytes:
    seed = zlib.crc32(number.to_bytes(8, "little", signed=True))
    return zlib.crc32(payload, seed).to_bytes(_CRC_BYTES, "little")
