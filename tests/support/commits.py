"""Cuts connections between a commit of PostgreSQL and the answer that tells of it.

What always holds: the server has committed when a connection is cut here, because it says so after
the commit and not before; and what is cut is the commit of a batch, not of anything else that the
daemon does in a database. The answers are read by PostgreSQL's manual ("Message Formats").
"""

from typing import Final

from tests.support.tcp_proxy import Cut, Watch

_COMMAND_COMPLETE: Final = ord("C")
_READY_FOR_QUERY: Final = ord("Z")
_IDLE: Final = b"I"
_COPY: Final = b"COPY "
_COMMIT: Final = b"COMMIT\0"
_REFUSES_TLS: Final = b"N"
"""The whole answer to a request for TLS: the only one that is no message."""


class Commits:
    """Looks into any number of connections; give `watch` to a proxy."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether to hide the next commit; then it is false again."""
        self.hidden = 0

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
                self._hide_if_wanted(committed=answers.follow(rest[0], rest[5:end]))
                rest = rest[end:]

        return see

    def _hide_if_wanted(self, *, committed: bool) -> None:
        if not committed or not self.wanted:
            return
        self.wanted = False
        self.hidden += 1
        raise Cut


class _Answers:
    """What one session was told last."""

    def __init__(self) -> None:
        self._command = self._command_before = b""

    def follow(self, kind: int, content: bytes) -> bool:
        """Take a message; whether it ends the commit of a batch, which is a COMMIT after a COPY."""
        if kind == _COMMAND_COMPLETE:
            self._command_before, self._command = self._command, content
        if kind != _READY_FOR_QUERY or content != _IDLE:
            return False
        committed = self._command == _COMMIT and self._command_before.startswith(_COPY)
        self._command = self._command_before = b""
        return committed


def _end_of_message(data: bytes) -> int | None:
    """Where the first message ends; `None` unless the whole of it is here."""
    if len(data) < 5:
        return None
    end = 1 + int.from_bytes(data[1:5])
    return end if end <= len(data) else None
