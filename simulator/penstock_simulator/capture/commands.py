"""The commands for captures: `record`, `replay` and `inspect`."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
import uvloop
from rich.console import Console

from penstock.cli.configuration import load
from penstock.observability import logs
from penstock.settings.tree import Log, Settings
from penstock_simulator.capture.access import Access, recording_session
from penstock_simulator.capture.reading import CaptureReader
from penstock_simulator.capture.recording import Recorder
from penstock_simulator.capture.replay_run import (
    Judgement,
    Plan,
    replay_elsewhere,
    replay_on_own_stack,
)
from penstock_simulator.capture.statement import print_replay, print_summary
from penstock_simulator.capture.summary import summarise
from penstock_simulator.cli_endings import BROKEN, told_errors
from penstock_simulator.cli_options import RecordFile
from penstock_simulator.stack import reference_configuration

CaFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        help="PEM file of the authorities to trust; without it, the system's.",
    ),
]
CaptureFile = Annotated[
    Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="The capture.")
]


def record(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The capture to write; must not be there yet.")
    ],
    *,
    url: Annotated[
        str,
        typer.Option(help="mqtt://[user:password@]host[:port], or mqtts://, ws://, wss://."),
    ],
    topic: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILTER",
            help="What to subscribe to; may be given more than once.",
            show_default="#",
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds.", show_default="until Ctrl-C")
    ] = None,
    messages: Annotated[
        int | None, typer.Option(min=1, help="End after so many.", show_default=False)
    ] = None,
    retained: Annotated[
        bool, typer.Option("--retained", help="Begin with what the broker has retained.")
    ] = False,
    ca_file: CaFile = None,
    protocol: Annotated[
        Literal["5", "3.1.1"], typer.Option(help="3.1.1 is slower, and tells less of a message.")
    ] = "5",
) -> None:
    """Record what a broker publishes, through a session of its own."""
    logs.configure(Log(level="warning", format="console"))
    with told_errors(context.find_root().info_name):
        session = recording_session(Access(url, ca_file), protocol=protocol, retained=retained)
        recorder = Recorder(session, topic or ["#"], file, most_messages=messages, seconds=duration)
        recorded = uvloop.run(recorder.run(typer.echo))
    lost, sessions = recorded.connections_lost, recorded.sessions_lost
    typer.echo(
        f"{recorded.messages:,} messages with {recorded.payload_bytes:,} bytes of payload in"
        f" {recorded.seconds:,.1f} s; {file} has {recorded.file_bytes:,} bytes"
        + (f"; the connection was lost {lost} times" if lost else "")
        + (f", {sessions} times with what came until it was back" if sessions else "")
    )


def replay(
    context: typer.Context,
    file: CaptureFile,
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="mqtt://[user:password@]host[:port], or mqtts://; without it, Penstock is started"
            " with a broker and a database for this replay."
        ),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.001, help="How many times as fast as it was received.")
    ] = 1.0,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Messages/s instead of their own spacing; 0 is as fast as they are taken.",
            show_default=False,
        ),
    ] = None,
    loop: Annotated[int, typer.Option(min=1, help="How many times to publish it.")] = 1,
    connections: Annotated[
        int, typer.Option(min=1, max=1_000, help="Over which topics are spread; for each QoS.")
    ] = 1,
    qos: Annotated[
        int | None,
        typer.Option(min=0, max=1, help="Of all messages.", show_default="as captured"),
    ] = None,
    ca_file: CaFile = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The daemon's configuration, for its routes and limits.",
            show_default="the reference",
        ),
    ] = None,
    dsn: Annotated[
        str | None, typer.Option(help="Look into this database afterwards; needs --url.")
    ] = None,
    record: RecordFile = None,
) -> None:
    """Publish a capture, and account for what became of it."""
    plan = Plan(file, speed, rate, loop, connections, qos)
    if url is None and (dsn is not None or ca_file is not None):
        raise typer.BadParameter("--dsn and --ca-file need --url")
    if config is not None and url is not None and dsn is None:
        raise typer.BadParameter(
            "--config means nothing without a database: give --dsn, or no --url"
        )
    with told_errors(context.find_root().info_name):
        settings = _settings(config)
        if url is None:
            account = replay_on_own_stack(plan, settings, typer.echo)
        else:
            judgement = None if dsn is None else Judgement(dsn, settings)
            account = replay_elsewhere(plan, Access(url, ca_file), judgement, typer.echo)
        if record is not None:
            record.write_bytes(msgspec.json.format(msgspec.json.encode(account)) + b"\n")
    print_replay(Console(), account)
    raise typer.Exit(0 if account.holds else BROKEN)


def inspect(context: typer.Context, file: CaptureFile) -> None:
    """Say what a capture holds."""
    with told_errors(context.find_root().info_name):
        print_summary(Console(), summarise(CaptureReader(file)))


def _settings(config: Path | None) -> Settings:
    return load(config or reference_configuration()).settings
