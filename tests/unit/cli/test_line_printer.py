import os
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from penstock.cli.line_printer import MAX_LINES, LinePrinter

DEADLINE_SECONDS = 60.0


class Pipe(NamedTuple):
    reader: int
    writer: int


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    reader, writer = os.pipe()
    yield Pipe(reader, writer)
    os.close(reader)
    os.close(writer)


def no_one() -> None:
    pytest.fail("the reader has not gone")


def test_lines_come_out_in_the_order_offered(pipe: Pipe) -> None:
    printer = LinePrinter(pipe.writer, no_one)
    lines = [str(number).encode() for number in range(1000)]
    assert all(printer.offer(line) for line in lines)
    printer.close()
    assert os.read(pipe.reader, 65_536) == b"".join(line + b"\n" for line in lines)
    assert printer.left_out == 0


def test_lines_longer_than_the_pipe_come_out_whole(pipe: Pipe) -> None:
    printer = LinePrinter(pipe.writer, no_one)
    line = b"x" * 1_000_000
    printer.offer(line)
    received = bytearray()
    while not received.endswith(b"\n"):
        received += os.read(pipe.reader, 65_536)
    printer.close()
    assert received == line + b"\n"


def test_offering_never_waits_and_what_is_too_much_is_counted(pipe: Pipe) -> None:
    printer = LinePrinter(pipe.writer, no_one)
    line = b"x" * 1000
    taken = 0
    while printer.offer(line):
        taken += 1
    assert taken >= MAX_LINES
    assert not printer.offer(line)
    assert printer.left_out == 2

    received = 0
    while received < taken * (len(line) + 1):
        received += len(os.read(pipe.reader, 1_000_000))
    printer.close()
    assert received == taken * (len(line) + 1)


def test_an_output_that_is_never_read_does_not_keep_the_command() -> None:
    reader, writer = os.pipe()
    gone = threading.Event()
    printer = LinePrinter(writer, gone.set)
    printer.offer(b"x" * 1_000_000)
    printer.close()
    os.close(reader)
    assert gone.wait(DEADLINE_SECONDS)
    os.close(writer)


def test_it_is_told_when_the_reader_has_gone() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    gone = threading.Event()
    printer = LinePrinter(writer, gone.set)
    printer.offer(b"anybody there?")
    assert gone.wait(DEADLINE_SECONDS)
    printer.close()
    os.close(writer)
