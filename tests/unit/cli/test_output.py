import contextlib
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.output import print_table, printable, rfc3339

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.text(st.characters()))
def test_whatever_is_printed_cannot_steer_a_terminal(text: str) -> None:
    assert printable(text).isprintable()


@given(st.text().filter(str.isprintable))
def test_what_is_printable_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_control_characters_show_as_escapes() -> None:
    assert printable("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"


@given(st.integers(0, 253_402_300_799_999_999))
def test_times_are_printed_without_loss(ts_us: int) -> None:
    text = rfc3339(ts_us)
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) - EPOCH == timedelta(microseconds=ts_us)


def test_a_table_elsewhere_than_on_a_terminal_is_bare_and_aligned(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(("id", "detail"), [("7", "a [bold] word"), ("1000", "x\x07")])
    assert capsys.readouterr().out == "id    detail\n7     a [bold] word\n1000  x\\x07\n"


def test_a_table_on_a_narrow_terminal_cuts_nothing_off() -> None:
    script = (
        "from penstock.cli.output import print_table\n"
        "print_table(('topic', 'detail'), [('x' * 60, '[bold]' + 'y' * 60)])"
    )
    terminal, outer = pty.openpty()
    environ = {**os.environ, "COLUMNS": "40", "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", script], stdout=outer, env=environ, check=True)
    os.close(outer)
    shown = read_all(terminal)
    assert shown.count("x") == 60
    assert shown.count("y") == 60
    assert "[bold]" in shown
    assert "…" not in shown


def read_all(terminal: int) -> str:
    chunks = []
    with contextlib.suppress(OSError):  # EIO is how a terminal says that its other end has closed
        while chunk := os.read(terminal, 65_536):
            chunks.append(chunk)
    os.close(terminal)
    return b"".join(chunks).decode()
