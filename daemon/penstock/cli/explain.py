"""`penstock explain`: what the daemon would make of a message."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.cli.configuration import ConfigFile, FileArgument, one_of, settings_from
from penstock.cli.exits import ExitCode
from penstock.cli.output import print_table, printable, remark, rfc3339, say
from penstock.errors import ConfigError, Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.cli.interpretation import Interpretation
    from penstock.model import Origin
    from penstock.settings.tree import Route

PayloadArgument = Annotated[
    str,
    typer.Option(
        "--payload",
        "-p",
        metavar="TEXT|@FILE|-",
        help="The payload itself, @ and the file that holds it, or - for standard input.",
        show_default=False,
    ),
]


def explain(
    topic: Annotated[
        str,
        typer.Option("--topic", "-t", help="The topic of the message.", show_default=False),
    ],
    payload: PayloadArgument,
    file: FileArgument = None,
    config: ConfigFile = None,
) -> None:
    """Say what a message would become, without storing it.

    Prints the route that takes it, the tenant, the device and the readings, or the reason for which
    it would become a dead letter. The exit status is 0 when it would be stored and 5 when it would
    be refused.
    """
    from penstock.cli.interpretation import Interpreter

    settings = settings_from(one_of(file, config))
    interpreter = Interpreter(settings)
    _print_origin(interpreter.origin(topic), settings.routes)
    try:
        read = interpreter.read(topic, payload_bytes(payload), time.time_ns() // 1000)
    except Rejected as refusal:
        say(f"refused  {refusal.reason}")
        say(f"detail   {printable(refusal.detail)}")
        raise typer.Exit(ExitCode.REFUSED) from refusal
    _print_readings(read)
    if not settings.registry.auto_register:
        remark("registry.auto_register is off: whether the device is registered was not asked")


def payload_bytes(text: str) -> bytes:
    """The payload that an argument means: itself, the file after `@`, or standard input for `-`."""
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise ConfigError(f"--payload: cannot read {text[1:]}: {error.strerror}") from error


def _print_origin(origin: "Origin | None", routes: "Sequence[Route]") -> None:
    if origin is not None:
        route = routes[origin.route]
        say(f"route    routes[{origin.route}], {printable(route.topic)}, format {route.format}")
        say(f"tenant   {origin.tenant}")
        say(f"device   {origin.device}")


def _print_readings(read: "Interpretation") -> None:
    rows = [
        (
            rfc3339(reading.ts_us),
            reading.metric,
            str(reading.value),
            "" if reading.quality is None else str(reading.quality),
            reading.unit or "",
        )
        for reading in read.readings()
    ]
    if rows:
        print_table(("time", "metric", "value", "quality", "unit"), rows)
    else:
        say("The message is well-formed and holds no reading: there is nothing to store.")
