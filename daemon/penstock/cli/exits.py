"""What the exit status says, and how an error becomes one.

An error that is expected ends a command with its text alone. Any other is a bug: it keeps its
traceback, and Python exits with 1.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from penstock.cli.output import complain
from penstock.errors import ConfigError, FatalError, PoisonError, Retryable


class ExitCode(IntEnum):
    """The closed list of exit statuses; README.md and `penstock --help` say the same."""

    OK = 0
    BUG = 1
    """An unexpected error, with its traceback."""
    CONFIG = 2
    """The configuration or the arguments are unusable."""
    FATAL = 3
    """What was asked for cannot be done; the text says why and what to do."""
    FORCED = 4
    """A second signal ended the daemon before it had drained."""
    REFUSED = 5
    """A message or a dead letter is refused; the spool is damaged; the doctor found a problem."""


EXIT_CODES_HELP = """\b
Exit status:
  0  done
  1  unexpected error, with a traceback: a bug, please report it
  2  the configuration or the arguments are unusable
  3  it cannot be done now; the text says what to do
  4  run: a second signal forced the end before everything was stored
  5  explain, dead-letters replay: refused; spool verify: damage; doctor: problem
"""


@contextmanager
def expected_errors() -> Iterator[None]:
    """End the command with the text and the status of an expected error that leaves the block."""
    try:
        yield
    except ConfigError as error:
        complain(str(error))
        raise typer.Exit(ExitCode.CONFIG) from error
    except FatalError as error:
        complain(str(error))
        raise typer.Exit(ExitCode.FATAL) from error
    except Retryable as error:
        # Of the commands that end, only those on the database give up on what may pass.
        complain(f"{error}\nstorage.dsn says which database that is; mend it, and do this again.")
        raise typer.Exit(ExitCode.FATAL) from error
    except PoisonError as error:
        complain(f"the database refuses an argument: {error.detail}")
        raise typer.Exit(ExitCode.CONFIG) from error
    except BrokenPipeError as error:
        _forget_output()
        raise typer.Exit(ExitCode.OK) from error


def _forget_output() -> None:
    """Let what is buffered go nowhere: nobody reads standard output any more, `| head` for one."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
