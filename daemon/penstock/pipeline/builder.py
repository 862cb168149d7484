"""Collects readings into columns and seals them into a `Batch`.

Invariants: the columns have equal lengths between messages; a message that is refused midway
leaves no row behind; a sealed batch shares nothing with the builder, which starts empty again.
"""

import struct
from array import array
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

import numpy as np

from penstock.model import (
    GOOD_QUALITY,
    Batch,
    DeadLetter,
    NumberColumns,
    Readings,
    Sample,
    SeriesIndex,
    TextColumns,
    Value,
)
from penstock.pipeline.devices import Device

_FEW_METRICS: Final = 4
"""Up to so many readings are taken one by one sooner than together."""
_NUMBERS: Final = (float, bool)


class BatchBuilder:
    """The batch under construction. Not safe for several threads."""

    def __init__(self, index: SeriesIndex) -> None:
        self.index = index
        self._number = 0
        self._reset()

    def _reset(self) -> None:
        self.messages = 0
        self.size_bytes = 0
        """Payloads, and the topics that dead letters hold."""
        self.rows = 0
        """Rows to be written: readings and dead letters."""
        self.first_received_us = 0
        self.packet_ids: list[int] = []
        self.empty_messages = 0
        """Well-formed messages without a reading."""
        self._dead_letters: list[DeadLetter] = []
        self._topic_bytes = 0
        self._series: array[int] = array("i")
        self._values: array[float] = array("d")
        # Timestamps are kept as runs: the readings of an envelope share one.
        self._run_ts_us: list[int] = []
        self._run_rows: list[int] = []
        # A quality other than good is rare: kept by row.
        self._qualities: dict[int, int] = {}
        self._texts: list[tuple[int, int, str]] = []

    @property
    def payload_bytes(self) -> int:
        """Payloads alone."""
        return self.size_bytes - self._topic_bytes

    def begin(self, packet_id: int | None, size_bytes: int, received_us: int) -> None:
        """Count a message in; its readings or its dead letter follow."""
        if not self.messages:
            self.first_received_us = received_us
        self.messages += 1
        self.size_bytes += size_bytes
        if packet_id is not None:
            self.packet_ids.append(packet_id)

    def add(self, device: Device, groups: Sequence[Readings]) -> None:
        """Append all readings of one message, or none of them when it raises.

        Errors: `Rejected` when a metric's name is not valid.
        """
        series, values, numbers = self._series, self._values, device.series
        mark, texts_mark, runs_mark = len(values), len(self._texts), len(self._run_rows)
        try:
            for group in groups:
                ts_us, metrics, start = group.ts_us, group.metrics, len(values)
                if len(metrics) <= _FEW_METRICS or not self._add_together(device, ts_us, metrics):
                    for name, value in metrics.items():
                        if type(value) is float:
                            number = numbers.get(name)
                            series.append(device.add_series(name) if number is None else number)
                            values.append(value)
                        elif value is not None:
                            self._add_other(device, ts_us, name, value)
                self._run_ts_us.append(ts_us)
                self._run_rows.append(len(values) - start)
        except BaseException:
            self._roll_back(mark, texts_mark, runs_mark)
            raise
        rows = len(values) - mark + len(self._texts) - texts_mark
        self.rows += rows
        if not rows:
            self.empty_messages += 1

    def _add_together(self, device: Device, ts_us: int, metrics: dict[str, Value]) -> bool:
        """Append all readings of an envelope together, which is quicker, or none of them.

        That works where most metrics are known as numbers; those that have been something else
        before are taken one by one after them.
        """
        others, numbers = device.others, metrics
        if others:
            if 2 * len(others) > len(metrics):
                return False
            numbers = metrics.copy()
            for name in others:
                numbers.pop(name, None)
        names = list(numbers)
        try:
            if names != device.layout:
                device.lay_out(names)
            # Refuses whatever is no number.
            self._values.frombytes(_packer(len(names))(*numbers.values()))
        except KeyError:
            return False
        except struct.error:
            wrong = (name for name, value in numbers.items() if type(value) not in _NUMBERS)
            device.others = (*others, *wrong)
            return False
        self._series.extend(device.layout_series)
        for name in others:
            if name in metrics:
                self._add_other(device, ts_us, name, metrics[name])
        return True

    def _add_other(self, device: Device, ts_us: int, name: str, value: Value) -> None:
        """Append a reading that is not a bare float."""
        unit, quality = None, GOOD_QUALITY
        if isinstance(value, Sample):
            quality, unit = value.quality, value.unit
            value = value.value
        if value is None:
            return
        number = device.series.get(name)
        if number is None:
            number = device.add_series(name, unit)
        if isinstance(value, str):
            self._texts.append((number, ts_us, value))
            return
        if quality != GOOD_QUALITY:
            self._qualities[len(self._values)] = quality
        self._series.append(number)
        self._values.append(float(value))

    def _roll_back(self, mark: int, texts_mark: int, runs_mark: int) -> None:
        del self._series[mark:], self._values[mark:], self._texts[texts_mark:]
        del self._run_ts_us[runs_mark:], self._run_rows[runs_mark:]
        self._qualities = {row: code for row, code in self._qualities.items() if row < mark}

    def reject(self, letter: DeadLetter) -> None:
        """Take a dead letter in place of a message's readings."""
        topic_bytes = len(letter.topic or "")
        self._dead_letters.append(letter)
        self._topic_bytes += topic_bytes
        self.size_bytes += topic_bytes
        self.rows += 1

    def seal(self) -> Batch:
        """Everything since the last seal, as the next batch in the order of receipt."""
        self._number += 1
        batch = Batch(
            number=self._number,
            index=self.index,
            numbers=self._number_columns(),
            texts=self._text_columns(),
            dead_letters=self._dead_letters,
            messages=self.messages,
            size_bytes=self.size_bytes,
            first_received_us=self.first_received_us,
        )
        self._reset()
        return batch

    def _number_columns(self) -> NumberColumns:
        quality = np.full(len(self._values), GOOD_QUALITY, dtype=np.int16)
        for row, code in self._qualities.items():
            quality[row] = code
        return NumberColumns(
            series=np.array(self._series, dtype=np.int32),
            ts_us=np.repeat(
                np.fromiter(self._run_ts_us, np.int64, len(self._run_ts_us)),
                np.fromiter(self._run_rows, np.int64, len(self._run_rows)),
            ),
            value=np.array(self._values, dtype=np.float64),
            quality=quality,
        )

    def _text_columns(self) -> TextColumns:
        series, ts_us, value = zip(*self._texts, strict=True) if self._texts else ((), (), ())
        return TextColumns(
            series=np.array(series, dtype=np.int32),
            ts_us=np.array(ts_us, dtype=np.int64),
            value=value,
        )


@cache
def _packer(numbers: int) -> Callable[..., bytes]:
    """Packs so many numbers as an array of doubles holds them; no more sizes than `limits.metrics`.

    An array that is extended by numbers one by one takes three times as long.
    """
    return struct.Struct(f"{numbers}d").pack
