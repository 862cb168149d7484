"""The command `penstock`: one file a group of commands, each thin.

A command reads its arguments, calls the layers below and prints. It imports what it needs when it
runs, so that `penstock --version` loads none of it.
"""


def main() -> None:
    """Run the command line and exit with one of `penstock.cli.exits.ExitCode`."""
    from penstock.cli.program import program

    program(prog_name="penstock")
