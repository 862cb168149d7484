"""Format `flat`: an object whose members are the readings, as zigbee2mqtt and Tasmota send it.

Nested objects flatten to dotted names, arrays likewise with positions as names (`Power.0`). A
timestamp is taken from a configured path, and configured paths are left out with all that is below
them.
"""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from penstock.decode.refusals import (
    EXPECTED_NUMBER,
    UNREADABLE,
    too_deep,
    too_large,
    too_many,
    unreadable,
)
from penstock.decode.texts import ESCAPE, check_texts
from penstock.decode.timestamps import EXPECTED_TIMESTAMP, Timestamp, TimeWindow
from penstock.errors import Reason, Rejected
from penstock.model import Origin, Readings, Value
from penstock.settings.tree import Limits, Route
from penstock.topics.names import quote

_Leaf = float | bool | str | None
_Member = _Leaf | dict[str, Any] | list[Any]

_decode = msgspec.json.Decoder(dict[str, _Member]).decode
_decode_member = msgspec.json.Decoder(_Member).decode

_OPENING_BRACKET = ord("[")
_CONTAINERS = frozenset({dict, list})


class FlatDecoder:
    """Decodes the flat objects of one route."""

    def __init__(self, route: Route, limits: Limits) -> None:
        self._limits = limits
        self._timestamp_path = route.timestamp_path
        self._ignored = frozenset(route.ignore_paths)
        self._window = TimeWindow(route.time)

    def decode(self, payload: bytes, _origin: Origin, received_us: int) -> list[Readings]:
        """Fulfils `penstock.decode.Decoder`.

        Members called `tenant` or `device` are readings: nobody knows that the maker means ours.
        """
        limits = self._limits
        if len(payload) > limits.payload_bytes:
            raise too_large(len(payload), limits)
        try:
            members = _decode(payload)
        except UNREADABLE as error:
            raise unreadable(error, payload, limits, _decode_member) from error
        metrics = self._flatten(members, payload)
        ts_us = self._take_timestamp(metrics, received_us)
        if len(metrics) > limits.metrics:
            raise too_many(len(metrics), limits)
        if ESCAPE in payload or len(payload) > limits.text_bytes:
            check_texts(metrics, limits.text_bytes)
        return [Readings(ts_us, metrics)]

    def _flatten(self, members: dict[str, _Member], payload: bytes) -> dict[str, Value]:
        """`members` without the ignored ones, its containers replaced by what is in them."""
        for path in self._ignored:
            members.pop(path, None)
        # Most payloads of the field are flat indeed; more than one bracket may only be in a string.
        if payload.count(b"{") > 1 or _OPENING_BRACKET in payload:
            names = [name for name, value in members.items() if type(value) in _CONTAINERS]
            containers = [(name, members.pop(name)) for name in names]
            for name, container in containers:
                self._flatten_container(container, name, 2, members)
        return cast("dict[str, Value]", members)

    def _flatten_container(
        self, container: Any, name: str, depth: int, metrics: dict[str, _Member]
    ) -> None:
        """Add what is in the object or array called `name` to `metrics`."""
        if depth > self._limits.depth:
            raise too_deep(self._limits)
        if name == self._timestamp_path:
            raise Rejected(Reason.BAD_TIMESTAMP, f"{quote(name)}: {EXPECTED_TIMESTAMP}")
        for key, value in _members(container):
            path = self._join(name, key)
            if path in self._ignored:
                continue
            if type(value) in _CONTAINERS:
                self._flatten_container(value, path, depth + 1, metrics)
            elif path in metrics:
                raise Rejected(Reason.BAD_NAME, f"two members flatten to {quote(path)}")
            else:
                metrics[path] = _leaf(path, value)

    def _join(self, name: str, key: str) -> str:
        # Refused here and not with the other names: a long key times many members is much memory.
        allowed = self._limits.name_characters
        if len(name) + 1 + len(key) > allowed:
            raise Rejected(
                Reason.BAD_NAME, f"{quote(f'{name}.{key}')} is longer than {allowed} characters"
            )
        return f"{name}.{key}"

    def _take_timestamp(self, metrics: dict[str, Value], received_us: int) -> int:
        if self._timestamp_path is None:
            return received_us
        found = metrics.pop(self._timestamp_path, None)
        if found is None:
            return received_us
        if isinstance(found, str):
            return self._window.admit(_parse(found), received_us)
        if type(found) is float:
            return self._window.admit(found, received_us)
        raise Rejected(Reason.BAD_TIMESTAMP, f"{quote(self._timestamp_path)}: {EXPECTED_TIMESTAMP}")


def _members(container: dict[str, Any] | list[Any]) -> Iterable[tuple[str, Any]]:
    if isinstance(container, dict):
        return container.items()
    return ((str(position), value) for position, value in enumerate(container))


def _leaf(name: str, value: Any) -> _Leaf:
    if type(value) is not int:
        leaf: _Leaf = value
        return leaf
    try:
        return float(value)
    except OverflowError:
        raise Rejected(Reason.BAD_VALUE, f"{quote(name)}: {EXPECTED_NUMBER}") from None


def _parse(text: str) -> Timestamp:
    try:
        timestamp: Timestamp = msgspec.convert(text, Timestamp)
    except msgspec.ValidationError:
        raise Rejected(Reason.BAD_TIMESTAMP, f"{quote(text)}: {EXPECTED_TIMESTAMP}") from None
    return timestamp
