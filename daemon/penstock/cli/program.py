"""The program: which commands there are, and how an expected error ends one."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from penstock import __version__
from penstock.cli.check_config import check_config
from penstock.cli.dead_letters import dead_letters
from penstock.cli.demo import PASS_ON, demo
from penstock.cli.doctor.command import doctor
from penstock.cli.exits import EXIT_CODES_HELP, expected_errors
from penstock.cli.explain import explain
from penstock.cli.migrate import migrate
from penstock.cli.output import say
from penstock.cli.run import run
from penstock.cli.spool import spool
from penstock.cli.tap import tap


class _Program(TyperGroup):
    """Ends a command with the text and the status of an expected error."""

    def invoke(self, ctx: Any) -> Any:
        with expected_errors():
            return super().invoke(ctx)


# Plain help reads the same on a terminal, in a log and in a test; and an unexpected error keeps
# Python's own traceback, without the local variables, among which secrets may be.
program = typer.Typer(
    cls=_Program,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=EXIT_CODES_HELP,
)


def _print_version(asked: bool) -> None:  # noqa: FBT001 - typer calls it so
    if asked:
        say(f"penstock {__version__}")
        raise typer.Exit


@program.callback()
def _penstock(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Bring sensor messages from MQTT brokers into TimescaleDB without losing any."""


program.command()(run)
program.command()(check_config)
program.command()(migrate)
program.command(context_settings=PASS_ON, add_help_option=False)(demo)
program.command()(explain)
program.command()(tap)
program.command()(doctor)
program.add_typer(dead_letters, name="dead-letters")
program.add_typer(spool, name="spool")
