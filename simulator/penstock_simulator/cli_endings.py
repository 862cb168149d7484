"""How a command ends where it could not do what it was asked to: a sentence, and an exit status."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from penstock.errors import ConfigError
from penstock.sandbox import SandboxError
from penstock_simulator.capture.reading import CaptureError
from penstock_simulator.capture.recording import RecordError
from penstock_simulator.connection import PublishError
from penstock_simulator.ledger import LedgerError
from penstock_simulator.oracle import OracleError
from penstock_simulator.stack import StackError

BROKEN, UNUSABLE, UNDONE, INTERRUPTED = 1, 2, 3, 130

_UNDONE = (
    CaptureError,
    LedgerError,
    OracleError,
    OSError,
    PublishError,
    RecordError,
    SandboxError,
    StackError,
)


@contextmanager
def told_errors(program: str | None) -> Iterator[None]:
    """End with a sentence where the outside, or an argument, is at fault.

    Args:
        program: the name that it was called by.
    """
    try:
        yield
    except ConfigError as error:
        typer.echo(error, err=True)
        raise typer.Exit(UNUSABLE) from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    except _UNDONE as error:
        typer.echo(f"{program}: {error}", err=True)
        raise typer.Exit(UNDONE) from error
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo(f"{program}: interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
