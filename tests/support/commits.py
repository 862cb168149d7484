"""Cuts connections between a commit of PostgreSQL and the answer that tells of it.

What always holds: the server has committed when a connection is cut here, because it says so after
the commit and not before; and what is cut is the commit of a batch, not of anything else that the
daemon does in a database. The answers are read by PostgreSQL's manual ("Message Formats").
"""

from collections import Counter
from enum import Enum, auto
from typing import Final

from tests.support.tcp_proxy import Cut, Watch

_COMMAND_COMPLETE: Final = ord("C")
_READY_FOR_QUERY: Final = ord("Z")
_IDLE: Final = b"I"
_COPY: Final = b"COPY "
_COMMIT: Final = b"COMMIT\0"
_REFUSES_TLS: Final = b"N"
"""The whole answer to a request for TLS: the only one that is no message."""


class Commit(Enum):
    """How a batch is committed."""

    STATEMENT = auto()
    """By a COPY that is a transaction by itself."""
    TRANSACTION = auto()
    """By a COMMIT after a COPY."""


class Commits:
    """Looks into any number of connections; give `watch` to a proxy."""

    def __init__(self) -> None:
        self.wanted: Commit | None = None
        """Which commit to hide next; then it is `None` again."""
        self.hidden: Counter[Commit] = Counter()

    def watch(self) -> Watch:
        """A watcher for one connection."""
        rest = b""
        fresh = True
        answers = _Answers()

        def see(data: bytes) -> None:
            nonlocal rest, fresh
            if fresh:
                data, fresh = data.removeprefix(_REFUSES_TLS), False
            rest += data
            while (end := _end_of_message(rest)) is not None:
                self._hide_if_wanted(answers.follow(rest[0], rest[5:end]))
                rest = rest[end:]

        return see

    def _hide_if_wanted(self, commit: Commit | None) -> None:
        if commit is None or commit is not self.wanted:
            return
        self.wanted = None
        self.hidden[commit] += 1
        raise Cut


class _Answers:
    """What one session was told last."""

    def __init__(self) -> None:
        self._command = self._command_before = b""
        self._idle = False

    def follow(self, kind: int, content: bytes) -> Commit | None:
        """Take a message; the commit of a batch, if it is the end of one."""
        if kind == _COMMAND_COMPLETE:
            self._command = content
        if kind != _READY_FOR_QUERY:
            return None
        commit = self._commit(idle=content == _IDLE)
        if self._command:
            self._command_before, self._command = self._command, b""
        self._idle = content == _IDLE
        return commit

    def _commit(self, *, idle: bool) -> Commit | None:
        if idle and self._idle and self._command.startswith(_COPY):
            return Commit.STATEMENT
        if self._command == _COMMIT and self._command_before.startswith(_COPY):
            return Commit.TRANSACTION
        return None


def _end_of_message(data: bytes) -> int | None:
    """Where the first message ends; `None` unless the whole of it is here."""
    if len(data) < 5:
        return None
    end = 1 + int.from_bytes(data[1:5])
    return end if end <= len(data) else None
