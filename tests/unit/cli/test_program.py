import json
import re
import subprocess
import sys

import pytest

from penstock import __version__
from penstock.cli.exits import EXIT_CODES_HELP, ExitCode
from tests.support.command_line import penstock

HEAVY = ("numpy", "asyncpg", "aiohttp", "uvloop", "rich", "structlog", "msgspec", "yaml", "mqtt5")

COMMANDS = [
    ["run"],
    ["check-config"],
    ["migrate"],
    ["explain"],
    ["tap"],
    ["doctor"],
    ["dead-letters"],
    ["dead-letters", "list"],
    ["dead-letters", "show"],
    ["dead-letters", "replay"],
    ["dead-letters", "purge"],
]


def test_the_version_is_printed() -> None:
    assert penstock("--version") == (0, f"penstock {__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"]])
def test_asking_for_the_version_or_for_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import json, sys\n"
        "from penstock.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, check=True, text=True
    )
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert "penstock.cli.program" in modules
    assert modules.isdisjoint(HEAVY)


def test_help_lists_every_command_and_every_exit_status() -> None:
    shown = penstock("--help").output
    for command, *_ in COMMANDS:
        assert re.search(rf"^  {command} ", shown, re.MULTILINE)
    for code in ExitCode:
        assert re.search(rf"^ +{code.value}  ", shown, re.MULTILINE)
    assert EXIT_CODES_HELP.count("\n  ") == len(ExitCode)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_whose_summary_is_not_cut(command: list[str]) -> None:
    done = penstock(*command, "--help")
    assert done.status == ExitCode.OK
    assert f"Usage: penstock {' '.join(command)}" in done.output
    assert "..." not in penstock(*command[:-1], "--help").output.replace("[ARGS]...", "")


def test_without_a_command_it_says_what_there_is() -> None:
    done = penstock()
    assert done.status == ExitCode.CONFIG
    assert "dead-letters" in done.output + done.errors


@pytest.mark.parametrize(
    "arguments",
    [["expalin"], ["run", "--colour"], ["explain"], ["dead-letters", "list", "--limit", "0"]],
)
def test_wrong_usage_ends_with_2_and_says_where_help_is(arguments: list[str]) -> None:
    done = penstock(*arguments)
    assert done.status == ExitCode.CONFIG
    assert done.output == ""
    assert "--help" in done.errors
    assert "Traceback" not in done.errors


def test_a_misspelt_command_is_told_what_was_probably_meant() -> None:
    assert "'explain'" in penstock("expalin").errors
